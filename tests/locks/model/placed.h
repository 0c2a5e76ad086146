/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model makes of the point where a member has its place.
 */
#pragma once
void model_placed(void);
#define PB_PLACED() model_placed()

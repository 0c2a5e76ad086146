/* SPDX-License-Identifier: Apache-2.0
 *
 * The points of the locks in a model: every atomic operation is a step already, only places are of interest.
 */
#pragma once
void model_placed(void);
#define PB_PLACED() model_placed()
#define PB_POINT() ((void)0)

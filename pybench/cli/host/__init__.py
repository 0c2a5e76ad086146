# SPDX-License-Identifier: Apache-2.0
"""Look at this host"""

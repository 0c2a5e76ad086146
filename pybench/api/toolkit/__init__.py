# SPDX-License-Identifier: Apache-2.0
"""Building blocks for applications of pybench, such as its findings."""

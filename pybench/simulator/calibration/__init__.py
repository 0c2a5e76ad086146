# SPDX-License-Identifier: Apache-2.0
"""Calibration: this host as a machine of the simulator, from short measurements."""

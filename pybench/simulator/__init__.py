# SPDX-License-Identifier: Apache-2.0
"""The simulator: a discrete-event model of CPUs, caches and contended lines. It measures nothing."""

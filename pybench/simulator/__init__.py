# SPDX-License-Identifier: Apache-2.0
"""The simulator: CPUs, caches and contended lines as a discrete-event model. It measures nothing."""

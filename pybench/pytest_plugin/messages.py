# SPDX-License-Identifier: Apache-2.0
"""Messages of the plugin that are needed before anything heavy is imported."""

NO_PARALLEL = (
    "a sweep needs the machine for itself and pytest-xdist runs tests side by side: run it without -n "
    "(pytest --benchmark -n 0)"
)

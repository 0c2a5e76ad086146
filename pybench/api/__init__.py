# SPDX-License-Identifier: Apache-2.0
"""What `import pybench` offers: measure, load, look, compare, ask, export. docs/guides/python.md shows it."""

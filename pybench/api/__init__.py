# SPDX-License-Identifier: Apache-2.0
"""The Python API. `import pybench` offers its main names; `toolkit` has building blocks for applications."""

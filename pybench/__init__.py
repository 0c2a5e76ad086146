"""How a Linux host behaves when every CPU wants the same lock."""

from pybench import _version

__all__ = ["__version__"]

__version__ = _version.VERSION

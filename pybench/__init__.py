"""How a Linux host behaves when every CPU wants the same lock."""

from pybench._version import VERSION as __version__

__all__ = ["__version__"]

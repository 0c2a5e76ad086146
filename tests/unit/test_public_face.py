# SPDX-License-Identifier: Apache-2.0
"""Names that `import pybench` offers."""

import subprocess
import sys

import pytest

import pybench


def test_every_public_name_can_be_imported() -> None:
    offered = {name for names in pybench._MODULES.values() for name in names}
    assert offered | {"__version__"} == set(pybench.__all__)
    for name in pybench.__all__:
        assert getattr(pybench, name) is not None
        assert name in dir(pybench)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'measures'"):
        pybench.measures  # noqa: B018 - the access raises


def test_import_loads_no_heavy_library() -> None:
    code = "import sys, pybench; print([m for m in ('numpy', 'scipy', 'rich', 'msgspec') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

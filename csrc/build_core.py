# SPDX-License-Identifier: Apache-2.0
"""Build recipe of the native core: cffi reads the ABI from the header that the C files include."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
# Every C file below this folder is compiled, so that a workload registers by being here.
SOURCES = [str(path.relative_to(HERE.parent)) for path in sorted(HERE.rglob("*.c"))]
HEADERS = [str(path.relative_to(HERE.parent)) for path in sorted([*HERE.rglob("*.h"), *HERE.rglob("*.def")])]

ffi = FFI()
ffi.cdef((HERE / "pybench_core.h").read_text())
ffi.set_source(
    "pybench.native._core",
    '#include "core/core.h"',
    sources=SOURCES,
    include_dirs=["csrc"],
    depends=HEADERS,
    extra_compile_args=["-std=gnu11", "-O2", "-pthread", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    extra_link_args=["-pthread", "-lm"],
    py_limited_api=True,
)

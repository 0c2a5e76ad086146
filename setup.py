# SPDX-License-Identifier: Apache-2.0
"""Build the native core by cffi; all other settings are in pyproject.toml."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext


class ParallelBuild(build_ext):
    """Compile as many sources at once as there are CPUs."""

    def build_extensions(self) -> None:
        """Give the compiler one source at a time, from as many threads as there are CPUs."""
        compile_all = self.compiler.compile

        def compile_each(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_all([source], **options), sources)
                return [one for made in objects for one in made]

        self.compiler.compile = compile_each
        super().build_extensions()


setup(
    cffi_modules=["csrc/build_core.py:ffi"],
    cmdclass={"build_ext": ParallelBuild},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)

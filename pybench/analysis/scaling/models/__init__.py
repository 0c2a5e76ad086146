# SPDX-License-Identifier: Apache-2.0
"""The scaling models. A model is a file in this folder with one class, which is found by itself."""

from importlib import import_module
from pkgutil import iter_modules

from pybench.analysis.scaling.model import Model

_NAMES = ("name", "short", "title", "formula", "source")


def _found() -> dict[str, type[Model]]:
    """Return the classes of all files here by name. TypeError on import for one that leaves a name out."""
    classes = []
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
        classes += [one for one in own if issubclass(one, Model)]
    for one in classes:
        if missing := [name for name in _NAMES if not hasattr(one, name)]:
            raise TypeError(f"the scaling model {one.__name__} has no {', '.join(missing)}")
    return {one.name: one for one in sorted(classes, key=lambda one: (one.place, one.name))}


MODELS = _found()
"""Name -> class, in the order in which models are listed."""

"""The conditions, by what they look at. The package imports every file in it, so that a new condition is a function
and nothing else."""

from __future__ import annotations

import importlib
import pkgutil

for _module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
    importlib.import_module(f"{__name__}.{_module.name}")

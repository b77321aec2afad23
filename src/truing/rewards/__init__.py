"""Rewards: functions that say how good a response is, and how they are called and added.

The package imports every file in it, so that a new reward is a new file and nothing else.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

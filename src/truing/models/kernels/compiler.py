"""How kernels are compiled and run: by Numba, kept on disk for the next process, over as many threads as torch has.

A kernel is a function of NumPy arrays and numbers, written as the loops it is. To be vectorised, an index that is
computed, or runs over `range(U(first), U(last))`, must be unsigned (`U`): a signed one may be negative and mean "from
the end". A sum may be reordered, but NaN and infinity are what they are everywhere.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from truing.caches import cache_folder

__all__ = ["Array", "U", "compiled", "fits", "kept_in", "none_is_kept", "spread"]

Array = npt.NDArray[np.float32]
U = np.uintp
"""An unsigned index. Mixed with a signed one the result is signed again: constants are `U(4)`, too."""

_F = TypeVar("_F", bound=Callable[..., Any])
_FAST = {"reassoc", "contract", "arcp", "nsz"}


def compiled(function: _F) -> _F:
    """Decorator: machine code for each combination of argument types, made when first called and kept on disk.

    It lies in `kept_in()`; where nothing can be written there, it is made anew in each process.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": _FAST, "error_model": "numpy"}
    folder, config = kept_in(), cast(Any, numba.config)
    if folder is None:
        return cast(_F, numba.njit(**options)(function))
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return cast(_F, numba.njit(cache=True, **options)(function))
    finally:
        config.CACHE_DIR = before


@cache
def kept_in() -> Path | None:
    """The folder for machine code: $NUMBA_CACHE_DIR or `cache_folder()`, and in it one for this source of all kernels.

    Numba asks whether the file of a function has changed, but not those that it calls into, which are part of its code.
    None if it cannot be written to.
    """
    source = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        source.update(file.name.encode() + b"\0" + file.read_bytes())
    try:
        above = Path(os.environ["NUMBA_CACHE_DIR"]) if os.environ.get("NUMBA_CACHE_DIR") else cache_folder()
        folder = above / "kernels" / source.hexdigest()[:16]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # the latter: nobody's home folder is known
        return None


def none_is_kept() -> bool:
    """Whether all kernels are still to be compiled, which takes seconds."""
    folder = kept_in()
    return folder is None or not any(folder.rglob("*.nbc"))


def fits(*tensors: Tensor) -> bool:
    """Whether kernels can work on these: float32 in the memory of the CPU."""
    return all([t.is_cpu and t.dtype is torch.float32 for t in tensors])  # noqa: C419 -- a list is faster, this is hot


def spread(kernel: Callable[..., None], *arguments: Any, count: int, at_least: int) -> None:
    """Calls kernel(*arguments, first, last) for ranges that make up [0, count), at once on torch's number of threads.

    A thread is worth waking up for `at_least` so many. The kernel must write nothing that two ranges share.
    """
    pieces = min(torch.get_num_threads(), count // max(1, at_least))
    if pieces <= 1:
        kernel(*arguments, 0, count)
        return
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    others = [_pool(pieces - 1).submit(kernel, *arguments, a, b) for a, b in pairwise(bounds[1:])]
    try:
        kernel(*arguments, 0, bounds[1])
    finally:  # the arrays belong to the caller again when this returns
        for other in others:
            other.result()


_pools: dict[int, ThreadPoolExecutor] = {}


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="truing-kernels")
    return _pools[threads]


# Threads don't survive a fork; a pool that believes it has some would wait for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)

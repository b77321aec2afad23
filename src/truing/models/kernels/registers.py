"""The processor's vector registers, of the processor that LLVM compiles for."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import binding

__all__ = ["LANES", "NUM_REGISTERS"]


def _found() -> tuple[int, int]:
    config: Any = numba.config
    features = (config.CPU_FEATURES or binding.get_host_cpu_features().flatten()).split(",")
    if "+avx512f" in features:
        return 16, 32
    return (8, 16) if "+avx2" in features else (4, 32 if "+neon" in features else 16)


LANES, NUM_REGISTERS = _found()
"""float32 numbers in a register, and how many registers there are."""

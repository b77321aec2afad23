"""Which of PyTorch's two libraries multiplies float32 matrices faster on this CPU, and whether both mean float32.

`torch.mm` multiplies with MKL, which on AMD processors stays with 256-bit instructions; oneDNN, which PyTorch ships as
well, uses 512-bit ones where the processor has them: twice as fast on Zen 5. Everywhere else MKL is at least as good.
The choice depends on the processor alone and never on a measurement, so that a run repeats itself bit for bit.

`torch.mm` goes to oneDNN only under a setting that permits it to round factors to bfloat16, which oneDNN
does where it has kernels for that: on processors with AMX. On others its kernels are float32's own, at the full rate of
the processor. Whether they are is asked of the numbers, once; where they are not, or nothing is to be gained, the
setting is never made. It is global to the process and stands only as long as the call that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["by_onednn", "onednn_is_faster", "products_are_exact"]

# A factor rounded to bfloat16 is wrong by up to 4e-3, to TensorFloat-32 by 5e-4; a float32 sum of 64 by some 1e-7.
_FLOAT32 = 1e-5


@cache
def onednn_is_faster() -> bool:
    """Whether this is an AMD processor with AVX-512 and a PyTorch that hands out oneDNN's products."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch._C._has_mkldnn:
        return False
    try:
        vendor = "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux: the vendor is not known, and torch.mm is right anyway
        return False
    return vendor and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@contextmanager
def by_onednn() -> Iterator[None]:
    """`torch.mm` inside goes to oneDNN. Only to be entered if `products_are_exact()`."""
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = setting.fp32_precision
    setting.fp32_precision = "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before


@cache
def products_are_exact() -> bool:
    """Whether oneDNN is the faster library here (by processor, see `onednn_is_faster`) and what it makes is float32."""
    if not onednn_is_faster() or not hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision"):
        return False
    draw = torch.Generator().manual_seed(0)
    # the forms that it is used for, in sizes that pick several kernels: logits, and the gradients of weights
    forms: list[tuple[Tensor, Tensor]] = []
    for rows, inner, columns in ((128, 256, 512), (100, 64, 192), (7, 256, 33)):
        x, weight = torch.randn(rows, inner, generator=draw), torch.randn(columns, inner, generator=draw)
        forms += [(x, weight.t()), (torch.randn(rows, columns, generator=draw).t(), x)]
    for a, b in forms:
        truth = torch.mm(a.double(), b.double())
        with by_onednn():
            found = torch.mm(a, b)
        if not bool((found - truth).abs().max() <= _FLOAT32 * truth.abs().max()):
            return False
    return True

"""Where the time of steps goes: what PyTorch's profiler saw, added up by parts of a step."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

__all__ = ["PARTS", "Profile", "part"]

SAMPLING, ATTENTION, HEAD, OPTIMIZER = "sampling", "attention", "vocabulary (head, log-probabilities)", "optimizer"
PRODUCTS, COPIES, OTHERS = "products of the layers", "copies, zeros, gathering", "element-wise, norms, sums"
REST = "autograd, Python, everything else"
PARTS = (SAMPLING, PRODUCTS, ATTENTION, HEAD, OTHERS, COPIES, OPTIMIZER, REST)

# Whatever happens inside of these is theirs.
_SCOPES = {
    SAMPLING: SAMPLING,
    "_TreeAttention": ATTENTION,
    "_TreeAttentionBackward": ATTENTION,
    "_Logprobs": HEAD,
    "_LogprobsBackward": HEAD,
    "Optimizer.step#AdamW.step": OPTIMIZER,
}
_OPERATIONS = {
    PRODUCTS: "mm addmm bmm baddbmm linear _linear_pointwise _mkl_linear",
    COPIES: "copy_ clone contiguous _to_copy zero_ fill_ cat stack index index_select index_add_ index_put_ gather",
}
# Of these, what no operation of PyTorch inside of them takes: compiled loops.
_LOOPS = {f"_{name}{way}" for name in ("RmsNorm", "GatedDown", "Rotary") for way in ("", "Backward")}
_PART = {operation: part for part, operations in _OPERATIONS.items() for operation in operations.split()}


def part(names: list[str]) -> str | None:
    """The part of a step that an event belongs to, from its name and those of what it happened in, innermost first.

    None for what is neither an operation of PyTorch nor inside of a part: its own time is that of Python.
    """
    for name in reversed(names):  # the outermost: sampling has an attention of its own
        if name in _SCOPES:
            return _SCOPES[name]
    if names[0] in _LOOPS:
        return OTHERS
    library, _, operation = names[0].rpartition("::")
    return _PART.get(operation, OTHERS) if library in ("aten", "mkldnn", "mkl") else None


class Profile:
    """`step()` after each step; the first only starts it, since that step warms up."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._profiler: Any = None
        self._began = self._seconds = 0.0

    def step(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        if self._profiler is None:
            self._profiler = profile(activities=[ProfilerActivity.CPU])
            self._profiler.start()
            self._began = time.perf_counter()
        self._left -= 1
        if self._left == 0:
            self._seconds = time.perf_counter() - self._began
            self._profiler.stop()

    def read(self) -> dict[str, float]:
        """Wall seconds by part, of all steps but the first."""
        assert self._left == 0, "not all steps were seen"
        spent: Counter[str] = Counter(dict.fromkeys(PARTS, 0.0))  # type: ignore[dict-item]
        for event in self._profiler.events():
            names, above = [event.name], event.cpu_parent
            while above is not None:
                names.append(above.name)
                above = above.cpu_parent
            where = part(names)
            if where is not None:
                spent[where] += event.self_cpu_time_total / 1e6
        spent[REST] = self._seconds - sum(spent.values())
        return dict(spent)

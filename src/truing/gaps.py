"""How far apart two views of the same samples are: of who sampled and who trains, and of before and after.

Both should agree on the first optimizer step of a batch. Where they do not, training is off-policy without knowing it:
other kernels, another precision, another template, dropout, an old policy on the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Gaps"]


@dataclass
class Gaps:
    """Sums over the micro-batches of a batch's first optimizer step."""

    tokens: int = 0
    rows: int = 0
    difference: float = 0.0
    largest: float = 0.0
    weight: float = 0.0
    weight_squared: float = 0.0
    ratio: float = 0.0
    has_old: bool = False

    def add(self, streams: Mapping[str, Tensor]) -> None:
        """Reads `logprobs`, `mask`, and `sampled_logprobs`, `old_logprobs` and `rivals` where they are."""
        mask, logprobs = streams["mask"], streams["logprobs"].detach()
        if "rivals" in streams:  # another sampler is another distribution, and no sign of anything
            mask = mask & ~streams["rivals"][:, None]
        if "old_logprobs" in streams:
            self.has_old = True
            moved = (logprobs - streams["old_logprobs"]).masked_fill(~mask, 0.0)
            self.ratio = max(self.ratio, float(torch.expm1(moved.abs().clamp(max=20.0)).max()) if mask.any() else 0.0)
        if "sampled_logprobs" not in streams or not mask.any():
            return
        apart = (logprobs - streams["sampled_logprobs"]).masked_fill(~mask, 0.0)
        self.tokens += int(mask.sum())
        self.difference += float(apart.abs().sum())
        self.largest = max(self.largest, float(apart.abs().max()))
        weights = apart.sum(1)[mask.any(1)].clamp(-20.0, 20.0).exp()
        self.rows += len(weights)
        self.weight += float(weights.sum())
        self.weight_squared += float((weights**2).sum())

    def metrics(self) -> dict[str, float]:
        """`sampling/difference` and `sampling/largest`: |log π_train − log π_sample| of a token, mean and maximum;
        `sampling/effective`: (Σw)² / (n·Σw²) of the importance weights of whole responses, 1 = all count the same;
        `ratio/first_error`: the largest |π/π_old − 1|."""
        out = {"ratio/first_error": self.ratio} if self.has_old else {}
        if self.tokens:
            out["sampling/difference"] = self.difference / self.tokens
            out["sampling/largest"] = self.largest
            out["sampling/effective"] = self.weight**2 / (self.rows * self.weight_squared)
        return out

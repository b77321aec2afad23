"""Two responses, the first preferred: the smallest batch of an objective on pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective


@dataclass
class Found:
    """The loss of the pair, its gradient with respect to every token, and what is logged."""

    loss: float
    chosen: list[float]
    rejected: list[float]
    metrics: dict[str, float]


def of_two(
    function: Callable[..., Term],
    chosen: Sequence[float],
    rejected: Sequence[float],
    *,
    reference: tuple[Sequence[float], Sequence[float]] | None = None,
    strength: float = 1.0,
    **settings: Any,
) -> Found:
    """`chosen` and `rejected` are log-probabilities of the tokens; those of the reference are 0 where none are given,
    so that they are log-ratios too."""
    width = max(len(chosen), len(rejected))

    def rows(first: Sequence[float], second: Sequence[float]) -> Tensor:
        return torch.tensor([[*r, *[0.0] * (width - len(r))] for r in (first, second)], dtype=torch.float64)

    logprobs = rows(chosen, rejected).requires_grad_()
    streams = {
        "logprobs": logprobs,
        "ref_logprobs": rows(*reference) if reference else torch.zeros_like(logprobs),
        "mask": torch.arange(width) < torch.tensor([[len(chosen)], [len(rejected)]]),
        "chosen": torch.tensor([0]),
        "rejected": torch.tensor([1]),
        "strength": torch.tensor([strength], dtype=torch.float64),
        "ref_kl": torch.zeros_like(logprobs),
        "collision_logprobs": torch.zeros_like(logprobs),
    }
    term = function(*(streams[name] for name in objective[function.__name__].reads), **settings)
    (gradient,) = torch.autograd.grad(term.values.sum(), logprobs)
    return Found(
        term.values.item(),
        gradient[0, : len(chosen)].tolist(),
        gradient[1, : len(rejected)].tolist(),
        {name: metric.item() for name, metric in term.metrics.items()},
    )

"""Truing without shared prompts: what sharing is worth is measured against the same program with every prompt copied.

| way | |
|---|---|
| copied | token trees as ever, but a tree for every response, each with a prompt of its own |
| padded | the way for models that cannot share: one padded row a response, through PyTorch's attention |

Groups, micro-batches, objective, head and optimizer stay as they are; only the decoder's forward pass is replaced, in
this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from truing.models import forward
from truing.tree import Packed, Span

__all__ = ["Ran", "copy_prompts", "copy_row"]


class Ran:
    """Counts the tokens that go through the layers with a gradient."""

    def __init__(self) -> None:
        self._tokens = 0

    def add(self, tokens: int) -> None:
        if torch.is_grad_enabled():
            self._tokens += tokens

    def trained(self) -> int:
        """Since the last call: prompts as often as they were run, no padding."""
        tokens, self._tokens = self._tokens, 0
        return tokens


def copy_row(layout: Sequence[Span]) -> tuple[list[int], list[int], list[Span]]:
    """The same row with a tree for every response.

    Three lists: where each token of the new row stands in the old one; where each of the old one stands in the new (a
    prompt's in its first copy); the new layout.
    """
    old_of: list[int] = []
    new_of: list[int] = []
    spans: list[Span] = []
    for span in layout:
        prompt = range(*span.prompt)
        for number, branch in enumerate(span.branches or ((span.end, span.end),)):
            start = len(old_of)
            middle, end = start + len(prompt), start + len(prompt) + branch[1] - branch[0]
            new_of += range(start if number == 0 else middle, end)
            old_of += [*prompt, *range(*branch)]
            spans.append(Span((start, middle), ((middle, end),)))
    return old_of, new_of, spans


def copy_prompts(way: str) -> Ran:
    """From now on, in this process, `way`: `copied` or `padded`."""
    ran = Ran()
    shared, padded = forward.hidden_states, forward.hidden_states_padded

    def copied(model: nn.Module, packed: Packed, **options: Any) -> Tensor:
        old_of, new_of, spans = copy_row(packed.layout)
        ran.add(len(old_of))
        index = torch.tensor(old_of)
        row = _Row(packed.token_ids[index], packed.position_ids[index], tuple(spans))
        return shared(model, row, **options)[torch.tensor(new_of)]  # type: ignore[arg-type]

    def counted(model: nn.Module, packed: Packed, **options: Any) -> Tensor:
        ran.add(len(copy_row(packed.layout)[0]))
        return padded(model, packed, **options)

    if way == "copied":
        forward.hidden_states = copied
    else:
        assert way == "padded", way
        forward.hidden_states_padded = counted
        forward.Runner._share = lambda self: False  # type: ignore[method-assign]
    return ran


class _Row:
    """What a forward pass reads of a packed row."""

    def __init__(self, token_ids: Tensor, position_ids: Tensor, layout: tuple[Span, ...]) -> None:
        self.token_ids, self.position_ids, self.layout = token_ids, position_ids, layout

"""Groups in tokens, and many of them packed into one row without padding.

A **token tree** is a prompt, once, and its K responses as branches: each branch attends to the prompt and to itself,
never to another branch, and its position ids go on from the prompt's.

    tokens     p0 p1 p2 | a0 a1 | b0 b1 b2 || q0 | c0 ...
    positions   0  1  2 |  3  4 |  3  4  5 ||  0 |  1 ...

`pack` lays trees side by side (`models.attention` keeps them apart), `budgeted` chooses which trees go together.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from truing.errors import DataError

__all__ = ["Branch", "Packed", "Span", "Tree", "budgeted", "pack"]


@dataclass(slots=True)
class Branch:
    """One response.

    `mask[t]` says whether token t is trained on (the assistant's words); `logprobs` are the sampling log-probabilities,
    if the tokens were sampled; `finished` is False for a response that was cut off.
    """

    tokens: list[int]
    mask: list[bool]
    logprobs: list[float] | None = None
    finished: bool = True

    def __post_init__(self) -> None:
        assert len(self.mask) == len(self.tokens), f"{len(self.mask)} mask entries for {len(self.tokens)} tokens"
        assert self.logprobs is None or len(self.logprobs) == len(self.tokens), "one sampling log-probability per token"


@dataclass(slots=True)
class Tree:
    """One group in tokens. `feedback` is filled and read by `experience`; nothing here looks into it."""

    prompt: list[int]
    branches: list[Branch]
    feedback: dict[str, Any] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """What it costs: the prompt once and every branch."""
        return len(self.prompt) + sum(len(branch.tokens) for branch in self.branches)


@dataclass(frozen=True, slots=True)
class Span:
    """Where one tree lies in the packed row: (start, end) of its prompt and of each branch, end exclusive.

    The branches follow the prompt and one another without a gap.
    """

    prompt: tuple[int, int]
    branches: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        return self.branches[-1][1] if self.branches else self.prompt[1]


@dataclass(frozen=True)
class Packed:
    """One micro-batch. T = all tokens, N = trained tokens (those under `mask`), rows = branches of all trees in order,
    tokens = the longest branch.

    | field | shape | meaning |
    |---|---|---|
    | token_ids, position_ids | T | the packed row |
    | layout | one Span a tree | who sees whom |
    | predictors | N | index into T of the hidden state that predicts each trained token |
    | targets | N | the trained tokens |
    | index | (rows [N], columns [N]) | where each trained token sits in a [rows, tokens] stream |
    | mask | rows tokens, bool | trained tokens |
    | groups | rows | which tree each row belongs to |
    | ends | rows | index into T of each row's last token (the prompt's, for an empty branch): a reward head reads it |

    A first token that nothing precedes (empty prompt) has no predictor: it is masked out, whatever its branch says.
    """

    token_ids: Tensor
    position_ids: Tensor
    layout: tuple[Span, ...]
    predictors: Tensor
    targets: Tensor
    index: tuple[Tensor, Tensor]
    shape: tuple[int, int]
    mask: Tensor
    groups: Tensor
    ends: Tensor

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)

    def scatter(self, flat: Tensor) -> Tensor:
        """[N, ...] per trained token -> [rows, tokens, ...], zero elsewhere; gradients flow back."""
        assert flat.shape[0] == self.targets.shape[0], f"{flat.shape[0]} values for {self.targets.shape[0]} tokens"
        return flat.new_zeros(*self.shape, *flat.shape[1:]).index_put(self.index, flat)

    def to(self, device: torch.device | str) -> Packed:
        """The same batch on another device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return replace(
            self,
            token_ids=move(self.token_ids),
            position_ids=move(self.position_ids),
            predictors=move(self.predictors),
            targets=move(self.targets),
            index=(move(self.index[0]), move(self.index[1])),
            mask=move(self.mask),
            groups=move(self.groups),
            ends=move(self.ends),
        )


def pack(trees: Sequence[Tree]) -> Packed:
    """Lay trees side by side in one row. `DataError` for a response that, with its prompt, has no token at all."""
    token_ids: list[int] = []
    position_ids: list[int] = []
    layout: list[Span] = []
    predictors: list[int] = []
    targets: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    groups: list[int] = []
    ends: list[int] = []
    for number, tree in enumerate(trees):
        start, length = len(token_ids), len(tree.prompt)
        prompt_end = start + length
        token_ids += tree.prompt
        position_ids += range(length)
        spans: list[tuple[int, int]] = []
        for branch in tree.branches:
            first, size = len(token_ids), len(branch.tokens)
            if not (length or size):
                raise DataError("a response without a token to an empty prompt", remedy="Drop it, or give it a prompt.")
            row = len(groups)
            trained: Sequence[int] = range(size)
            if not all(branch.mask):
                trained = [column for column, inside in enumerate(branch.mask) if inside]
            if not length:  # nothing precedes a first token
                trained = [column for column in trained if column]
            predictors += [first + column - 1 if column else prompt_end - 1 for column in trained]
            targets += [branch.tokens[column] for column in trained]
            rows += [row] * len(trained)
            columns += trained
            token_ids += branch.tokens
            position_ids += range(length, length + size)
            spans.append((first, first + size))
            groups.append(number)
            ends.append(first + size - 1 if size else prompt_end - 1)
        layout.append(Span((start, prompt_end), tuple(spans)))
    widest = max((len(branch.tokens) for tree in trees for branch in tree.branches), default=0)
    index = (_long(rows), _long(columns))
    mask = torch.zeros(len(groups), widest, dtype=torch.bool)
    mask[index] = True
    return Packed(
        token_ids=_long(token_ids),
        position_ids=_long(position_ids),
        layout=tuple(layout),
        predictors=_long(predictors),
        targets=_long(targets),
        index=index,
        shape=(len(groups), widest),
        mask=mask,
        groups=_long(groups),
        ends=_long(ends),
    )


def _long(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)


def budgeted(trees: Sequence[Tree], max_tokens: int) -> list[list[int]]:
    """Indices of `trees` in micro-batches of at most `max_tokens` tokens each; a tree above that goes alone.

    First-fit-decreasing finds how few micro-batches do; longest-to-emptiest then evens them out, where it fits as well,
    since the fullest one decides the peak of memory. The answer depends on the sizes alone: no randomness.
    """
    sizes = [tree.num_tokens for tree in trees]
    descending = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    bins = _first_fit(sizes, descending, max_tokens)
    even = _emptiest(sizes, descending, len(bins))
    if all(len(members) == 1 or sum(sizes[i] for i in members) <= max_tokens for members in even):
        bins = even
    return sorted(sorted(members) for members in bins)


def _first_fit(sizes: Sequence[int], order: Sequence[int], limit: int) -> list[list[int]]:
    bins: list[list[int]] = []
    room: list[int] = []
    for i in order:
        place = next((b for b, free in enumerate(room) if sizes[i] <= free), None)
        if place is None:
            bins.append([i])
            room.append(limit - sizes[i])
        else:
            bins[place].append(i)
            room[place] -= sizes[i]
    return bins


def _emptiest(sizes: Sequence[int], order: Sequence[int], count: int) -> list[list[int]]:
    bins: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, b) for b in range(count)]
    for i in order:
        load, place = heapq.heappop(heap)
        bins[place].append(i)
        heapq.heappush(heap, (load + sizes[i], place))
    return [members for members in bins if members]

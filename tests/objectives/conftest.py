"""A made-up batch with one of every stream, and the ways of cutting and shuffling it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from truing.reduce import Term, weigh
from truing.registry import Entry
from truing.streams import STREAMS

Streams = dict[str, Tensor]

GROUP_SIZES = (2, 3, 1, 4, 2)  # the third has nothing to compare
LENGTHS = (5, 3, 6, 2, 4, 1, 0, 6, 5, 2, 3, 4)  # the seventh row is empty
PAIRS = ((0, 1), (4, 2), (3, 2), (4, 3), (7, 6), (8, 9), (11, 10))
TOKENS = 6


class Batches:
    """Makes batches. Everything that is a number is float64, so that equal means equal."""

    def made(self, seed: int = 0) -> Streams:
        random = torch.Generator().manual_seed(seed)
        rows, pairs = len(LENGTHS), len(PAIRS)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=random, dtype=torch.float64)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=random, dtype=torch.float64)

        inside = torch.arange(TOKENS) < torch.tensor(LENGTHS)[:, None]
        spoken_by_others = uniform(rows, TOKENS) < 0.2
        logprobs = -2 * uniform(rows, TOKENS)
        streams = {
            "logprobs": logprobs,
            "ref_logprobs": logprobs + 0.3 * normal(rows, TOKENS),
            "old_logprobs": logprobs + 0.3 * normal(rows, TOKENS),
            "entropies": uniform(rows, TOKENS),
            "values": normal(rows, TOKENS),
            "advantages": normal(rows, TOKENS),
            "returns": normal(rows, TOKENS),
            "rewards": normal(rows),
            "token_rewards": normal(rows, TOKENS),
            "pair_scores": normal(rows),
            "aspect_rewards": normal(rows, 3),
            "aspect_scores": normal(rows, 3).masked_fill(uniform(rows, 3) < 0.4, float("nan")),
            "adapter_l1": torch.tensor(2.5, dtype=torch.float64),
            "mismatched_log_ratio": normal().abs(),
            "desirable_log_ratio": normal(),
            "undesirable_log_ratio": normal(),
            "scores": normal(rows),
            "finished": uniform(rows) < 0.5,
            "demonstrations": uniform(rows) < 0.6,
            "labels": torch.randint(-1, 2, (rows,), generator=random),
            "ranks": torch.randint(0, 4, (rows,), generator=random),
            "step_labels": torch.randint(0, 5, (rows, TOKENS), generator=random)
            .double()
            .div(4)
            .masked_fill(uniform(rows, TOKENS) < 0.5, float("nan")),
            "mask": inside & ~spoken_by_others,
            "groups": torch.repeat_interleave(torch.arange(len(GROUP_SIZES)), torch.tensor(GROUP_SIZES)),
            "chosen": torch.tensor([i for i, _ in PAIRS]),
            "rejected": torch.tensor([j for _, j in PAIRS]),
            "strength": 0.5 + 0.5 * uniform(pairs),
            "margin": uniform(pairs),
            "ref_kl": uniform(rows, TOKENS),
            "collision_logprobs": -2 * uniform(rows, TOKENS),
            "reference_quantile": normal(pairs),
            "rejected_quantile": normal(pairs),
            "chosen_quantile": normal(pairs),
        }
        # After what was there before, so that those numbers stay what they are.
        streams |= {
            "sampled_logprobs": logprobs + 0.3 * normal(rows, TOKENS),
            "old_values": streams["values"] + 0.3 * normal(rows, TOKENS),
            "dense_rewards": normal(rows, TOKENS),
            "baselines": normal(rows),
            "rivals": uniform(rows) < 0.5,
        }
        assert streams.keys() == STREAMS.keys(), "teach this fixture the new stream"
        return streams

    def take(self, streams: Streams, groups: Sequence[int], *, reverse_rows: bool = False) -> Streams:
        """The batch of these groups alone, in this order, as a micro-batch of them would be made."""
        parts = [(streams["groups"] == g).nonzero()[:, 0] for g in groups]
        rows = torch.cat([part.flip(0) if reverse_rows else part for part in parts])
        new_row = torch.full((len(streams["groups"]),), -1)
        new_row[rows] = torch.arange(len(rows))
        new_group = torch.full((int(streams["groups"].max()) + 1,), -1)
        new_group[torch.tensor(groups)] = torch.arange(len(groups))
        pairs = (new_row[streams["chosen"]] >= 0).nonzero()[:, 0]
        pairs = pairs.flip(0) if reverse_rows else pairs
        index = {"pairs": pairs, "rows": rows, "rows tokens": rows, "rows aspects": rows}
        # A number about the whole batch stays what it is.
        out = {n: s[index[STREAMS[n].shape]] if STREAMS[n].shape else s for n, s in streams.items()}
        out |= {n: new_row[out[n]] for n in ("chosen", "rejected")}
        out["groups"] = new_group[out["groups"]]
        return out

    def widened(self, streams: Streams, columns: int, fill: float) -> Streams:
        """Columns of padding added on the right, with `fill` in them."""
        out = dict(streams)
        for name, stream in streams.items():
            if STREAMS[name].shape == "rows tokens":
                what = False if stream.dtype == torch.bool else fill
                out[name] = torch.cat([stream, torch.full((len(stream), columns), what, dtype=stream.dtype)], 1)
        return out

    def masked_with(self, streams: Streams, fill: float) -> Streams:
        """Masked tokens overwritten in every stream that has tokens."""
        return {
            name: stream.masked_fill(~streams["mask"], fill)
            if STREAMS[name].shape == "rows tokens" and stream.is_floating_point()
            else stream
            for name, stream in streams.items()
        }


@pytest.fixture
def batches() -> Batches:
    return Batches()


def trained(streams: Streams) -> Streams:
    """The streams a model in training makes, ready to take a gradient."""
    return {n: s.clone().requires_grad_() for n, s in streams.items() if "policy" in STREAMS[n].maker}


def run(entry: Entry, streams: Streams, settings: Mapping[str, Any]) -> Term:
    term = entry.function(*(streams[name] for name in entry.reads), **settings)
    assert isinstance(term, Term)
    return term


def reduced(
    entry: Entry, parts: Sequence[Streams], settings: Mapping[str, Any], reduction: str
) -> tuple[float, list[Streams]]:
    """The loss of a batch given in parts, counts added and then divided, and the gradients of each part."""
    leaves = [trained(part) for part in parts]
    total, count = torch.zeros((), dtype=torch.float64), torch.zeros(())
    for part, made in zip(parts, leaves, strict=True):
        term = run(entry, part | made, settings)
        weighing = weigh(term.mask, part["groups"], reduction, rows=term.rows, length=8)
        total = total + (weighing.weights * torch.where(term.mask, term.values, 0.0)).sum()
        count = count + weighing.count
    loss = total / count.clamp(min=1)
    if loss.requires_grad:
        loss.backward()
    return loss.item(), [{n: t.grad for n, t in made.items() if t.grad is not None} for made in leaves]


def variants(entry: Entry) -> Iterator[dict[str, Any]]:
    """The defaults, and every setting moved away from its default in turn."""
    yield {}
    for setting in entry.settings.values():
        adapter: TypeAdapter[Any] = TypeAdapter(setting.type)
        words = [w for w in getattr(setting.type, "__args__", ()) if isinstance(w, str)]
        for value in [*words, True, False, 0.37, 3]:
            try:
                adapter.validate_python(value, strict=True)
            except ValidationError:
                continue
            if value != setting.default:
                yield {setting.name: value}

"""What every registered objective promises, and proof that breaking a promise is noticed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.reduce import REDUCTIONS, Term, weigh
from truing.registry import Entry, objective
from truing.streams import STREAMS

from .conftest import GROUP_SIZES, Batches, Streams, reduced, run, trained, variants

CASES = [
    pytest.param(entry, settings, id=f"{entry.name}-{settings or 'defaults'}")
    for entry in objective
    for settings in variants(entry)
]
every_objective = pytest.mark.parametrize(("entry", "settings"), CASES)
ALL = range(len(GROUP_SIZES))
DOCS = Path(__file__).parents[2] / "docs" / "methods"

Case = tuple[Entry, dict[str, Any], Batches]


def same(found: Streams, expected: Streams) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-12)


# ---- the promises --------------------------------------------------------------------------------------------------


def masked_tokens_do_not_count(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    for reduction in REDUCTIONS:
        loss, (gradients,) = reduced(entry, [streams], settings, reduction)
        for name, gradient in gradients.items():
            if STREAMS[name].shape == "rows tokens":
                assert (gradient[~streams["mask"]] == 0).all()
        for junk in (7.0, -1e4, float("inf"), float("nan")):
            other, (others,) = reduced(entry, [batches.masked_with(streams, junk)], settings, reduction)
            assert other == pytest.approx(loss, rel=1e-12), junk
            same(others, gradients)


def padding_does_not_matter(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    for reduction, junk in itertools.product(REDUCTIONS, (0.0, float("nan"))):
        loss, (gradients,) = reduced(entry, [streams], settings, reduction)
        other, (others,) = reduced(entry, [batches.widened(streams, 3, junk)], settings, reduction)
        assert other == pytest.approx(loss, rel=1e-12)
        width = streams["mask"].shape[1]
        same({n: g[:, :width] if g.ndim == 2 else g for n, g in others.items()}, gradients)


def order_does_not_matter(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    shuffled = [3, 0, 4, 2, 1]
    rows = batches.take({**streams, "scores": torch.arange(12.0)}, shuffled, reverse_rows=True)["scores"].long()
    for reduction in REDUCTIONS:
        loss, (gradients,) = reduced(entry, [streams], settings, reduction)
        moved = batches.take(streams, shuffled, reverse_rows=True)
        other, (others,) = reduced(entry, [moved], settings, reduction)
        assert other == pytest.approx(loss, rel=1e-12)
        same(others, {name: gradient[rows] if gradient.ndim else gradient for name, gradient in gradients.items()})


def any_split_is_the_whole(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    for reduction in REDUCTIONS:
        loss, (gradients,) = reduced(entry, [streams], settings, reduction)
        for cuts in itertools.product((False, True), repeat=len(GROUP_SIZES) - 1):
            pieces = split(cuts)
            other, others = reduced(entry, [batches.take(streams, piece) for piece in pieces], settings, reduction)
            assert other == pytest.approx(loss, rel=1e-10), pieces
            # Of one number that every part reads, the gradients add up.
            whole = {
                n: torch.cat([o.get(n, torch.zeros(0)) for o in others])
                if gradient.ndim
                else sum((o[n] for o in others if n in o), torch.zeros(()))
                for n, gradient in gradients.items()
            }
            same(whole, gradients)


def split(cuts: Sequence[bool]) -> list[list[int]]:
    pieces = [[0]]
    for group, cut in enumerate(cuts, 1):
        if cut:
            pieces.append([])
        pieces[-1].append(group)
    return pieces


def what_is_counted_is_known_before_the_model_runs(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    models = {n for n, s in STREAMS.items() if "policy" in s.maker or s.maker == "reference"}
    for fill in (0.0, 1.0):
        blank = {n: torch.full(s.shape, fill) if n in models else s for n, s in streams.items()}
        found, expected = run(entry, blank, settings), run(entry, streams, settings)
        assert torch.equal(found.mask, expected.mask)
        assert (found.rows is None) == (expected.rows is None)
        if found.rows is not None and expected.rows is not None:
            assert torch.equal(found.rows, expected.rows)


def metrics_are_numbers_without_gradient(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    term = run(entry, streams | trained(streams), settings)
    assert term.values.requires_grad, "no stream that a model makes has a part in it"
    for name, metric in term.metrics.items():
        assert metric.shape == term.mask.shape, name
        assert not metric.requires_grad, name
        assert metric.is_floating_point(), name
        meant = metric[term.mask]
        assert not meant.isinf().any(), name
        assert meant.isfinite().any(), name  # NaN is for the entries that a metric does not speak of


def extremes_stay_finite(entry: Entry, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    numbers = [
        n
        for n in entry.reads
        if n
        in (
            "logprobs",
            "ref_logprobs",
            "old_logprobs",
            "rewards",
            "token_rewards",
            "pair_scores",
            "values",
            "old_values",
            "aspect_rewards",
        )
    ]
    for single, extreme in itertools.product((False, True), itertools.product((0.0, -1e4), repeat=len(numbers))):
        odd = dict(streams)
        for name, value in zip(numbers, extreme, strict=True):
            odd[name] = torch.full_like(streams[name], value)
        odd = {n: s.float() if single and s.is_floating_point() else s for n, s in odd.items()}
        all_finite(entry, odd, settings)
    all_finite(entry, streams | {"mask": torch.zeros_like(streams["mask"])}, settings)
    all_finite(entry, batches.take(streams, [2]), settings)  # nothing to compare


def all_finite(entry: Entry, streams: Streams, settings: dict[str, Any]) -> None:
    for reduction in REDUCTIONS:
        loss, gradients = reduced(entry, [streams], settings, reduction)
        assert abs(loss) < float("inf"), (reduction, loss)
        for gradient in gradients[0].values():
            assert gradient.isfinite().all(), reduction


PROMISES = [
    masked_tokens_do_not_count,
    padding_does_not_matter,
    order_does_not_matter,
    any_split_is_the_whole,
    what_is_counted_is_known_before_the_model_runs,
    metrics_are_numbers_without_gradient,
    extremes_stay_finite,
]


@every_objective
@pytest.mark.parametrize("promise", PROMISES, ids=lambda p: p.__name__)
def test_every_objective_keeps(
    promise: Callable[..., None], entry: Entry, settings: dict[str, Any], batches: Batches
) -> None:
    promise(entry, settings, batches)


# ---- broken on purpose: each promise notices -----------------------------------------------------------------------


def unmasked(logprobs: Tensor, mask: Tensor) -> Term:
    return Term(-(logprobs.cumsum(1) * mask), mask)


def multiplied(logprobs: Tensor, mask: Tensor) -> Term:
    return Term(-(logprobs * mask).sum(1), mask.any(1))  # 0 · NaN = NaN


def counts_columns(logprobs: Tensor, mask: Tensor) -> Term:
    return Term(-logprobs.masked_fill(~mask, 0.0) / mask.shape[1], mask)


def first_row_leads(logprobs: Tensor, mask: Tensor) -> Term:
    weight = torch.linspace(1, 2, len(mask), dtype=logprobs.dtype)[:, None]
    return Term(-logprobs.masked_fill(~mask, 0.0) * weight, mask)


def divides_itself(logprobs: Tensor, mask: Tensor) -> Term:
    return Term(-logprobs.masked_fill(~mask, 0.0) / mask.sum(), mask)


def masks_by_the_model(logprobs: Tensor, mask: Tensor) -> Term:
    return Term(-logprobs.masked_fill(~mask, 0.0), mask & (logprobs < -0.5))


def logs_infinity(logprobs: Tensor, mask: Tensor) -> Term:
    return Term(-logprobs.masked_fill(~mask, 0.0), mask, metrics={"odd": torch.full(mask.shape, float("inf"))})


def overflows(logprobs: Tensor, old_logprobs: Tensor, mask: Tensor) -> Term:
    return Term((logprobs - old_logprobs).masked_fill(~mask, 0.0).exp(), mask)


@pytest.mark.parametrize(
    ("promise", "broken"),
    [
        (masked_tokens_do_not_count, unmasked),
        (masked_tokens_do_not_count, multiplied),
        (padding_does_not_matter, counts_columns),
        (order_does_not_matter, first_row_leads),
        (any_split_is_the_whole, divides_itself),
        (what_is_counted_is_known_before_the_model_runs, masks_by_the_model),
        (metrics_are_numbers_without_gradient, logs_infinity),
        (extremes_stay_finite, overflows),
    ],
)
def test_a_broken_promise_is_noticed(promise: Callable[..., None], broken: Any, batches: Batches) -> None:
    with pytest.raises(AssertionError):
        promise(Entry("objective", broken.__name__, broken), {}, batches)


# ---- what is written about it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", list(objective), ids=lambda e: e.name)
def test_every_objective_names_its_source_in_one_sentence_with_its_formula(entry: Entry) -> None:
    text = entry.function.__doc__ or ""
    assert entry.summary
    assert re.search(r"arXiv:\d{4}\.\d{5}|doi:", text), "no paper"


@pytest.mark.parametrize("entry", list(objective), ids=lambda e: e.name)
def test_every_objective_has_a_page_that_says_it_all(entry: Entry, batches: Batches) -> None:
    page = (DOCS / f"{entry.name}.md").read_text(encoding="utf-8")
    for heading in ("Equation", "Paper", "Reads", "Settings", "Logs", "Departures"):
        assert f"\n## {heading}\n" in page, heading
    for name in (*entry.reads, *entry.settings):
        assert f"`{name}`" in page, name
    for name in run(entry, batches.made(), {}).metrics:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("entry", list(objective), ids=lambda e: e.name)
def test_every_setting_is_explained_in_the_docstring(entry: Entry) -> None:
    for name in entry.settings:
        assert f"`{name}`" in (entry.function.__doc__ or ""), name


def test_the_made_up_batch_has_the_odd_cases(batches: Batches) -> None:
    streams = batches.made()
    assert not streams["mask"].any(1).all(), "an empty row"
    assert (streams["mask"].any(1) & ~streams["mask"].all(1)).any(), "a row with masked tokens"
    paired = streams["groups"][streams["chosen"]].unique()
    assert len(paired) < len(ALL), "a group without comparisons"
    whole = weigh(streams["mask"], streams["groups"], "token").count
    assert whole == streams["mask"].sum()

"""One round: every side on the same rows, one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common import limit
from common.comparison import Comparison, Side
from common.groups import Lengths, lengths, make_groups, sorted_batches
from common.models import Size
from common.rows import write_rows
from common.sides import run

__all__ = ["one_round"]


def one_round(
    comparison: Comparison,
    size: Size,
    ready: Mapping[str, str],
    work: Path,
    options: argparse.Namespace,
    number: int,
) -> dict[str, Any]:
    """What each side measured, by its name, and `data`."""
    batch = options.batch or comparison.batch
    groups = make_groups(options.steps * batch, size.vocabulary, number, comparison.shape)
    if options.by_length:
        groups = sorted_batches(groups, batch, seed=number)
    work.mkdir(parents=True)
    files = write_rows(groups, comparison.row, work)
    sums = [lengths(groups[i : i + batch]) for i in range(0, len(groups), batch)]
    found: dict[str, Any] = {}
    for name in options.sides:
        side = comparison.sides[name]
        own = {
            "data": str(files[side.ours]),
            "batch": batch,
            "tokens_per_step": sum(each.useful for each in sums) / len(sums),
            "learning_rate": 1e-5,
        }
        job = own | dict(ready) | _merged(comparison.job, side.job)
        result = run(side.module, job, work / name, options.threads, work / f"{side.after or name}-cache")
        shutil.rmtree(work / name)
        _check(name, side, result, sums)
        found[name] = _figures(comparison, side, result, size, sums)
        print(
            f"  round {number + 1}, {side.said}: {found[name]['cpu_step']:.2f} s a step, "
            f"{found[name]['cpu_process']:.0f} s in all, {found[name]['peak_megabytes']:.0f} MB",
            flush=True,
        )
    _agree(comparison, found)
    found["data"] = lengths(groups)
    return found


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {**common, **own, "settings": {**common.get("settings", {}), **own.get("settings", {})}}


def _check(name: str, side: Side, result: Mapping[str, Any], sums: Sequence[Lengths]) -> None:
    """Each side says how many tokens it saw at each step: those that were written, or the comparison is off."""
    seen = [round(step["tokens"]) for step in result["steps"]]
    expected = [each.once if side.tokens == "once" else each.useful for each in sums]
    if side.tokens == "own":
        if len(seen) < 2:
            sys.exit(f"{name} packed everything into one step, and the first is warm-up: ask for more --steps")
        seen, expected = [sum(seen)], [sum(expected)]
    if seen != expected:
        sys.exit(f"{name} saw {seen} tokens at its steps, and {expected} were written")


def _agree(comparison: Comparison, found: Mapping[str, Mapping[str, Any]]) -> None:
    """The first losses, from the same weights on the same rows, are the proof that the work is the same."""
    for name, figures in found.items():
        side, first, expected = comparison.sides[name], figures["loss"][0], comparison.first_loss
        if expected is not None and not math.isclose(first, expected, rel_tol=1e-3):
            sys.exit(
                f"{name} starts at a loss of {first}, and it is {expected} by definition: this is not the same work"
            )
        if "truing" in found and side.tokens != "own":
            ours = found["truing"]["loss"][0]
            if not math.isclose(first, ours, rel_tol=side.within):
                sys.exit(f"{name} starts at a loss of {first}, Truing at {ours}: this is not the same work")


def _figures(
    comparison: Comparison, side: Side, result: Mapping[str, Any], size: Size, sums: Sequence[Lengths]
) -> dict[str, Any]:
    """What one run comes to. Useful tokens: the prompt once for each response, as the peer has it."""
    # The first step also warms caches, allocators and (Truing) checks its attention: left out, here and there.
    cpu = result["cpu_steps"][1:]
    own = side.tokens == "own"
    useful = [step["tokens"] for step in result["steps"]] if own else [each.useful for each in sums]
    rate = max(result["gemm_rates"].values())
    shares = []
    if side.float32 and not own:
        passes = side.passes or comparison.passes
        needed = [limit.step(size, each, passes=passes, head=comparison.head) for each in sums[1:]]
        shares = [products / rate / seconds for products, seconds in zip(needed, cpu, strict=True)]
    return {
        "cpu_step": median(cpu),
        "cpu_token": sum(cpu) / sum(useful[1:]),
        "useful_tokens_per_second": median(u / c for u, c in zip(useful[1:], cpu, strict=True)),
        "share_of_limit": median(shares) if shares else None,
        "gemm_rate": rate,
        **{key: value for key, value in result.items() if key != "steps"},
        "megabytes_training": result["peak_megabytes"] - result["megabytes_imports"],
        "tokens": [step["tokens"] for step in result["steps"]],
        "loss": [step["loss"] for step in result["steps"]],
        "grad_norm": [step["grad_norm"] for step in result["steps"]],
    }

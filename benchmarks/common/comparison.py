"""A comparison: named sides that train the same model on the same rows, and what must come out the same.

What is particular to one (its sides, rows, lengths, FLOPs) is data, written down in a small script like `dpo.py`; the
rest happens here, in `common.rounds` and in `common.report`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from common.groups import Group, Shape
from common.models import SIZES, write_model
from common.rows import Row
from common.sides import BENCHMARKS, have_peer

__all__ = ["Comparison", "Side", "arguments", "main"]


@dataclass(frozen=True)
class Side:
    """One way to do the work: a module of `sides/` and what its job says."""

    said: str
    module: str
    job: Mapping[str, Any] = field(default_factory=dict)
    tokens: Literal["once", "copied", "own"] = "copied"
    """What it must say that it saw: each prompt `once`; `copied` for every response; the latter in batches of its `own`
    making, of which only the sum can be checked, and no step compared."""
    within: float = 1e-4
    """How far its loss may be from Truing's at step 1, relative: more than rounding, and it is other work."""
    float32: bool = True
    """Otherwise the limit, which is of float32 products, says nothing of it."""
    passes: int | None = None
    """If a step has fewer than the comparison's: a reference that was run before."""
    after: str | None = None
    """The side of the same round whose cache this one finds: a second run of the same model on the same rows."""

    @property
    def ours(self) -> bool:
        return self.module.startswith("sides.truing")


@dataclass(frozen=True)
class Comparison:
    """`passes` and `head` say what a step's unavoidable products are (`common.limit.step`)."""

    name: str
    title: str
    unit: str
    sides: Mapping[str, Side]
    default: Sequence[str]
    shape: Shape
    row: Callable[[Group], Row]
    job: Mapping[str, Any]
    """For all sides; a side's own wins."""
    passes: int
    head: bool = True
    first_loss: float | None = None
    """What every side's loss must begin at, within a thousandth, where mathematics says so."""
    prepare: Callable[[Path, Path], Mapping[str, str]] = lambda model, folder: {}
    """(model, empty folder) -> more for the job: what has to lie on disk before, made once."""
    batch: int = 8
    """By default so many groups in a batch."""


def arguments(doc: str | None, comparisons: Sequence[Comparison]) -> argparse.Namespace:
    """The command line that every comparison has."""
    first = comparisons[0]
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["S"])
    parser.add_argument("--sides", nargs="+", choices=first.sides, default=first.default)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of a run; the first is warm-up")
    parser.add_argument("--batch", type=int, default=None, help=f"{first.unit} in a batch ({first.batch})")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--by-length", action="store_true", help=f"batches of {first.unit} of similar length: best for the peer"
    )
    if len(comparisons) > 1:
        names = [each.name for each in comparisons]
        parser.add_argument("--only", nargs="+", choices=names, default=names, help="which of the comparisons")
    parser.add_argument("--suffix", default="", help="added to the names of the written files")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    chosen = parser.parse_args()
    if chosen.steps < 2:
        parser.error("--steps: at least 2, the first is warm-up")
    return chosen


def main(doc: str | None, *comparisons: Comparison) -> None:
    """Run, check, and write `NAME-SIZE.json` and `.md`."""
    from common.report import report, write
    from common.rounds import one_round

    options = arguments(doc, comparisons)
    sides = comparisons[0].sides
    if not all(sides[name].ours for name in options.sides) and (missing := have_peer()):
        ours = " ".join(name for name in comparisons[0].default if sides[name].ours)
        sys.exit(f"{missing}\nTruing alone: --sides {ours}")
    options.out.mkdir(parents=True, exist_ok=True)
    for comparison in comparisons:
        if comparison.name not in getattr(options, "only", [comparison.name]):
            continue
        for size in options.size:
            print(f"{comparison.title}, size {size}", flush=True)
            with tempfile.TemporaryDirectory(prefix="truing-benchmark-") as temporary:
                folder = Path(temporary)
                write_model(SIZES[size], folder / "model")
                ready = {"model": str(folder / "model"), **comparison.prepare(folder / "model", folder / "more")}
                rounds = [
                    one_round(comparison, SIZES[size], ready, folder / f"round-{number}", options, number)
                    for number in range(options.rounds)
                ]
            made = report(comparison, size, options, rounds)
            stem = f"{comparison.name}-{size}" + ("-by-length" if options.by_length else "") + options.suffix
            print("\n" + write(comparison, made, options.out, stem), flush=True)

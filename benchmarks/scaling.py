"""How time and memory of a Truing step grow: one thing at a time is made larger, the rest stays.

    python benchmarks/scaling.py                               # size S: a quarter of an hour
    python benchmarks/scaling.py --only "prompt tokens P" --steps 4
    python benchmarks/scaling.py --size toy --steps 2

List-wise DPO (with a reference; of two responses it is DPO), all prompts of 150 and all responses of 120 tokens where
nothing else is said, float32, one thread, every point a process of its own. Time is CPU time of the median step after
the first, memory the peak of the process without what it held after its imports. Beside the time stands what the
unavoidable products take (`common.limit`) at the rate measured in the same process, and the exponent of both: x^1.0 is
linear. Time may grow like its products, not faster. Writes `results/scaling-SIZE.json`, `.md` and `.svg`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import limit
from common.chart import Panel, svg
from common.groups import Lengths, Shape, lengths, make_groups
from common.machine import cpu_name, versions
from common.models import SIZES, Size, write_model
from common.rows import ranking, write_rows
from common.sides import BENCHMARKS, run
from common.table import markdown

PAIR = Shape(responses=2, spread=0.0, longest=2047)
GROUPS = 8
PASSES = 4


@dataclass(frozen=True)
class Point:
    """One run. `x` is where it stands on its axis; by default the tokens of its batch."""

    size: Size
    shape: Shape = PAIR
    groups: int = GROUPS
    rank: int | None = None
    x: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def axes(base: Size) -> dict[str, list[Point]]:
    """What is made larger, by name."""

    def wider(times: int) -> Size:
        return replace(
            base,
            hidden=base.hidden * times,
            heads=base.heads * times,
            key_heads=base.key_heads * times,
            inner=base.inner * times,
        )

    sizes = [replace(base, layers=base.layers // 2), base, wider(2), wider(3)]
    return {
        "batch tokens": [Point(base, groups=groups) for groups in (2, 4, 8, 16, 32)],
        "responses K": [Point(base, replace(PAIR, responses=k), groups=4, x=k) for k in (2, 4, 8, 16)],
        "prompt tokens P": [Point(base, replace(PAIR, prompt=p), x=p) for p in (64, 128, 256, 512, 1024)],
        "vocabulary V": [Point(replace(base, vocabulary=v), x=v) for v in (2048, 8192, 32768, 65536)],
        "body weights": [Point(size, x=size.body_weights) for size in sizes],
        "LoRA rank": [Point(base, rank=r, x=r, settings={"model.lora": {"r": r}}) for r in (4, 16, 64, 128)],
    }


def needed(point: Point, batch: Lengths) -> float:
    """Floating-point operations of a step. With LoRA there is no product for the gradients of the frozen weights, and
    three for each of the adapters' (forward, by inputs, by weights)."""
    if point.rank is None:
        return limit.step(point.size, batch, passes=PASSES)
    size = point.size
    queries, keys = size.heads * size.head_width, size.key_heads * size.head_width
    ends = 2 * (size.hidden + queries) + 2 * (size.hidden + keys) + 3 * (size.hidden + size.inner)
    return limit.step(size, batch, passes=PASSES - 1) + 3 * 2 * size.layers * point.rank * ends * batch.once


def measure(point: Point, folder: Path, steps: int, threads: int) -> dict[str, Any]:
    """One process."""
    write_model(point.size, folder / "model")
    groups = make_groups(steps * point.groups, point.size.vocabulary, 0, point.shape)
    files = write_rows(groups, ranking, folder)
    job = {
        "recipe": "plackett_luce",
        "model": str(folder / "model"),
        "data": str(files[True]),
        "batch": point.groups,
        "learning_rate": 1e-5,
        "settings": dict(point.settings),
    }
    result = run("sides.truing_train", job, folder / "run", threads)
    batch = lengths(groups[: point.groups])
    seen, first = [round(step["tokens"]) for step in result["steps"]], result["steps"][0]["loss"]
    expected = math.log(math.factorial(point.shape.responses))
    if seen != [batch.once] * steps or not math.isclose(first, expected, rel_tol=1e-3):
        sys.exit(f"{point}: saw {seen} tokens and began at a loss of {first}, not {batch.once} and {expected:.4f}")
    return {
        "x": batch.once if point.x is None else point.x,
        "tokens": batch.once,
        "cpu_step": median(result["cpu_steps"][1:]),
        "cpu_products": needed(point, batch) / max(result["gemm_rates"].values()),
        "products": needed(point, batch),
        "megabytes": result["peak_megabytes"] - result["megabytes_imports"],
        "cpu_steps": result["cpu_steps"],
        "point": asdict(point),
    }


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The e of y = c·x^e, by least squares of the logarithms."""
    xs, ys = ([math.log(point[axis]) for point in points] for axis in (0, 1))
    x, y = fmean(xs), fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def table(made: Mapping[str, Any]) -> str:
    """The exponents, and under them every point."""
    summary, parts = [], []
    for name, rows in made["axes"].items():
        grown = {key: exponent([(row["x"], row[key]) for row in rows]) for key in ("cpu_step", "products", "megabytes")}
        shares = [row["cpu_products"] / row["cpu_step"] for row in rows]
        summary.append(
            {
                "what grows": name,
                "from, to": f"{rows[0]['x']:,g}, {rows[-1]['x']:,g}",
                "CPU time": f"x^{grown['cpu_step']:.2f}",
                "its products": f"x^{grown['products']:.2f}",
                "memory": f"x^{grown['megabytes']:.2f}",
                "of the limit": f"{shares[0]:.2f}, {shares[-1]:.2f}",
            }
        )
        each = [
            {
                name: f"{row['x']:,g}",
                "tokens a batch": f"{row['tokens']:,}",
                "CPU s / step": f"{row['cpu_step']:.2f}",
                "its products, s": f"{row['cpu_products']:.2f}",
                "MB without libraries": f"{row['megabytes']:.0f}",
            }
            for row in rows
        ]
        parts.append("\n" + markdown(each))
    size = made["model"]
    head = (
        f"**Scaling, size {made['size']}**: {size['body weights'] / 1e6:.1f} M body weights, V = "
        f"{size['vocabulary V']}, P = 150, R = 120, K = 2, {GROUPS} groups a batch (4 where K grows) unless it grows; "
        f"{made['steps']} steps, {made['threads']} thread(s), float32; {made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )
    return head + markdown(summary) + f"\n![The curves](scaling-{made['size']}.svg)\n" + "".join(parts)


def chart(made: Mapping[str, Any]) -> str:
    """Time over memory, three axes a row."""
    times, memories = [], []
    for name, rows in made["axes"].items():
        time = [(row["x"], row["cpu_step"]) for row in rows]
        times.append(Panel("CPU s / step", name, time, [(row["x"], row["cpu_products"]) for row in rows]))
        memories.append(Panel("MB without libraries", name, [(row["x"], row["megabytes"]) for row in rows]))
    panels = [panel for i in range(0, len(times), 3) for panel in (*times[i : i + 3], *memories[i : i + 3])]
    return svg(panels, f"Time and memory of a step, size {made['size']}; dashed: what its products alone would take")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--only", nargs="+", choices=list(axes(SIZES["S"])), help="which things to make larger")
    parser.add_argument("--points", type=int, default=None, help="only the first so many of each")
    parser.add_argument("--steps", type=int, default=4, help="of each run; the first is warm-up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    if options.steps < 2:
        parser.error("--steps: at least 2, the first is warm-up")
    if options.points is not None and options.points < 2:
        parser.error("--points: at least 2, or nothing grows")
    size = SIZES[options.size]
    found: dict[str, list[dict[str, Any]]] = {}
    for name, points in axes(size).items():
        if options.only and name not in options.only:
            continue
        found[name] = []
        for point in points[: options.points]:
            folder = Path(tempfile.mkdtemp(prefix="truing-benchmark-"))
            try:
                found[name].append(measure(point, folder, options.steps, options.threads))
            finally:
                shutil.rmtree(folder)
            row = found[name][-1]
            print(f"{name} {row['x']:,g}: {row['cpu_step']:.2f} s a step, {row['megabytes']:.0f} MB", flush=True)
    made = {
        "benchmark": "scaling",
        "size": options.size,
        "model": {"body weights": size.body_weights, "vocabulary V": size.vocabulary},
        "steps": options.steps,
        "threads": options.threads,
        "machine": cpu_name(),
        "versions": versions("torch", "transformers", "truing"),
        "axes": found,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"scaling-{options.size}"
    stem.with_suffix(".json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(table(made), encoding="utf-8")
    stem.with_suffix(".svg").write_text(chart(made), encoding="utf-8")
    print("\n" + table(made), flush=True)


if __name__ == "__main__":
    main()

"""What a comparison publishes: everything as JSON, and a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from common import limit
from common.comparison import Comparison
from common.machine import cpu_name, versions
from common.models import SIZES
from common.table import markdown, spread

__all__ = ["report", "table", "write"]

RATIOS = {
    "cpu_token": "steps against Truing",
    "cpu_process": "process against Truing",
    "peak_megabytes": "memory against Truing",
    "megabytes_training": "without libraries",
}


def report(
    comparison: Comparison, name: str, options: argparse.Namespace, rounds: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that is published."""
    size, data = SIZES[name], [r["data"] for r in rounds]
    products = [
        sum(limit.step(size, d, passes=comparison.passes, head=comparison.head, copied=copied) for d in data)
        for copied in (False, True)
    ]
    made: dict[str, Any] = {
        "benchmark": comparison.name,
        "size": name,
        "model": {
            "body weights": size.body_weights, "vocabulary V": size.vocabulary, "hidden": size.hidden,
            "layers": size.layers,
        },
        "data": {
            "prompt tokens P": fmean(d.prompt for d in data),
            "response tokens R": fmean(d.response for d in data),
            "responses K": comparison.shape.responses,
            "turns": comparison.shape.turns,
            "order": "by length" if options.by_length else "random",
            # what copying every prompt multiplies by: the ceilings of what sharing can give
            "copied/tokens": sum(d.useful for d in data) / sum(d.once for d in data),
            "copied/products": products[1] / products[0],
        },
        "batch": options.batch or comparison.batch, "steps": options.steps, "rounds": options.rounds,
        "threads": options.threads,
        "machine": cpu_name(),
        "versions": versions("torch", "transformers", "trl", "truing"),
        "sides": {side: [r[side] for r in rounds] for side in options.sides},
    }  # fmt: skip
    if "truing" in options.sides:
        made["agreement"] = {
            side: _agreement(rounds, side)
            for side in options.sides
            if side != "truing" and comparison.sides[side].tokens != "own"
        }
    return made


def _agreement(rounds: Sequence[Mapping[str, Any]], side: str) -> dict[str, float]:
    """How far a side's losses and gradient norms are from Truing's, at worst: of the first step, and of all."""
    off: dict[str, float] = {}
    for name in ("loss", "grad_norm"):
        pairs = [list(zip(r["truing"][name], r[side][name], strict=True)) for r in rounds]
        off[f"{name}/first"] = max(abs(a - b) / abs(a) for steps in pairs for a, b in steps[:1])
        off[f"{name}/all"] = max(abs(a - b) / abs(a) for steps in pairs for a, b in steps)
    return off


def table(comparison: Comparison, made: Mapping[str, Any]) -> str:
    """The report as Markdown. Ratios are taken within a round; then the median, and the range in brackets."""
    sides = made["sides"]
    ours = sides.get("truing")
    rows = []
    for side, runs in sides.items():
        row = {
            "": comparison.sides[side].said,
            "CPU s / step": spread([r["cpu_step"] for r in runs], "{:.2f}"),
            "CPU s, process": spread([r["cpu_process"] for r in runs], "{:.0f}"),
            "of it imports, loading, saving": ", ".join(
                spread([r[f"cpu_{part}"] for r in runs], "{:.1f}", show_range=False)
                for part in ("imports", "loading", "saving")
            ),
            "peak MB": spread([r["peak_megabytes"] for r in runs], "{:.0f}"),
            "useful tokens / s": spread([r["useful_tokens_per_second"] for r in runs], "{:.0f}"),
            "of the limit": _share(runs),
        }
        if ours and len(sides) > 1:
            for key, header in RATIOS.items():
                row[header] = spread([t[key] / o[key] for t, o in zip(runs, ours, strict=True)], "{:.2f}x")
        row["loss, norm at step 1"] = f"{runs[0]['loss'][0]:.6f}, {runs[0]['grad_norm'][0]:.5f}"
        rows.append(row)
    return _head(comparison, made) + markdown(rows) + _tail(comparison, made)


def _share(runs: Sequence[Mapping[str, Any]]) -> str:
    """Blank where the float32 limit says nothing: of bfloat16 products, and of batches that are others."""
    shares = [r["share_of_limit"] for r in runs if r["share_of_limit"] is not None]
    return spread(shares, "{:.2f}") if shares else ""


def _head(comparison: Comparison, made: Mapping[str, Any]) -> str:
    data, model, sides = made["data"], made["model"], made["sides"]
    rates = [run["gemm_rates"] for runs in sides.values() for run in runs]
    k = f"K = {data['responses K']}"
    if data["responses K"] > 1:
        k += f" (prompts copied: {data['copied/tokens']:.2f}x the tokens, {data['copied/products']:.2f}x the products)"
    if data["turns"] > 1:
        k += f", 1 to {data['turns']} turns"
    return (
        f"**{comparison.title}, size {made['size']}**: {model['body weights'] / 1e6:.1f} M body weights, "
        f"V = {model['vocabulary V']}, P = {data['prompt tokens P']:.0f}, R = {data['response tokens R']:.0f}, "
        f"{k}; {made['batch']} {comparison.unit} a batch, order {data['order']}; "
        f"{made['rounds']} rounds of {made['steps']} steps, {made['threads']} thread(s), float32 where nothing else is "
        f"said; large products "
        + ", ".join(f"{fmean(each[name] for each in rates) / 1e9:.0f} GFLOP/s ({name})" for name in rates[0])
        + f"; {made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )


def _tail(comparison: Comparison, made: Mapping[str, Any]) -> str:
    return "".join(
        f"\n{comparison.sides[side].said} against Truing: losses differ by at most {off['loss/all']:.1e}, gradient "
        f"norms by {off['grad_norm/first']:.1e} at step 1 and {off['grad_norm/all']:.1e} at any step (relative).\n"
        for side, off in made.get("agreement", {}).items()
    )


def write(comparison: Comparison, made: Mapping[str, Any], folder: Path, stem: str) -> str:
    """Write the report as `STEM.json` and `.md`; the latter is handed back."""
    text = table(comparison, made)
    (folder / f"{stem}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    return text

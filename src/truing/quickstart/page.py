"""From the answers and records of a quickstart to its report: the hidden judge reads, intervals are put, nothing is
measured anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from truing import lab
from truing.evaluate import intervals
from truing.evaluate.report import (
    Answer,
    Check,
    Comparison,
    Report,
    Row,
    Stage,
    curves,
    environment,
    write_report,
)
from truing.evaluate.winrate import WinRate, win_rate
from truing.record import read_record

__all__ = ["page"]

MODELS = ("base", "SFT", "DPO", "GRPO")

_STAGES = {
    "SFT": ("sft", "Imitates demonstrations of mixed quality.", ("loss", "eval/loss")),
    "reward model": (
        "reward",
        "Learns from rankings by five noisy annotators which answers are preferred.",
        ("loss", "rewards/accuracies"),
    ),
    "DPO": ("dpo", "Learns from the same rankings without a reward model.", ("loss", "rewards/accuracies")),
    "GRPO": ("grpo", "Samples answers and learns from what the reward model says of them.", ("reward", "kl")),
}

Said = Mapping[str, Any]


def page(out: Path) -> Path:
    """Write `report.html` and `report.json` into the folder of a quickstart; the path of the page."""
    said: Said = json.loads((out / "answers.json").read_text(encoding="utf-8"))
    seconds: dict[str, float] = json.loads((out / "seconds.json").read_text(encoding="utf-8"))
    settings = json.loads((out / "quickstart.json").read_text(encoding="utf-8"))
    verdicts = {name: _judged(said, name, "test", "sampled") for name in MODELS}
    rows = [_row(name, said, verdicts, "test", "sampled") for name in MODELS]
    rows += [_row(name, said, verdicts, "test", "greedy", "greedy") for name in MODELS[1:]]
    rows += [_row(name, said, verdicts, "new", "sampled", "new items") for name in MODELS[1:]]
    stages = [_stage(out, name, seconds) for name in _STAGES]
    report = Report(
        title="Quickstart: the whole job on the embedded world",
        summary=(
            "A base model of 0.8 million parameters learns to answer everyday requests from demonstrations (SFT), then "
            "from preferences, with DPO and with GRPO against a reward model. A hidden judge, which no stage has seen, "
            f"scores the answers to {len(said['test'])} held-out prompts, sampled at temperature 1. Demonstrations are "
            "of mixed quality on purpose: were they all good, there would be nothing left to align."
        ),
        checks=_checks(rows),
        evaluation=rows,
        samples=_samples(said),
        stages=stages,
        timings={name: s for name, s in seconds.items() if name not in _STAGES},
        environment=environment(settings["seed"], threads=torch.get_num_threads()),
        reproduce=[f"truing quickstart --seed {settings['seed']}"],
    )
    return write_report(report, out)


def _judged(said: Said, model: str, split: str, how: str) -> list[float]:
    """The judge's score of each answer."""
    requests = _requests(said, split)
    answers = said[f"{model}/{split}/{how}"]
    return [lab.utility(r, text, done) for r, (text, done) in zip(requests, answers, strict=True)]


def _requests(said: Said, split: str) -> list[lab.Request]:
    return [lab.Request(row["kind"], row["item"], row["text"]) for row in said[split]]


def _row(name: str, said: Said, sampled: Mapping[str, Sequence[float]], split: str, how: str, setting: str = "") -> Row:
    ours = sampled[name] if (split, how) == ("test", "sampled") else _judged(said, name, split, how)
    theirs = sampled["SFT"] if (split, how) == ("test", "sampled") else _judged(said, "SFT", split, how)
    found = [
        (r, lab.verdict(r, text, done))
        for r, (text, done) in zip(_requests(said, split), said[f"{name}/{split}/{how}"], strict=True)
    ]
    harmful = [v for r, v in found if r.kind == "harm"]
    harmless = [v for r, v in found if r.kind != "harm"]
    return Row(
        model=name,
        setting=setting,
        utility=intervals.mean(ours),
        win_rate=None if name == "SFT" else win_rate(ours, theirs),
        kl=sum(said[f"{name}/kl"]) / len(said[f"{name}/kl"]) if not setting else None,
        words=sum(v.words for _, v in found) / len(found),
        rates={
            "harmful compliance": intervals.proportion(sum(v.complies for v in harmful), len(harmful)),
            "needless refusal": intervals.proportion(sum(v.refuses for v in harmless), len(harmless)),
            "rude": intervals.proportion(sum(v.rude for _, v in found), len(found)),
        },
    )


def _checks(rows: Sequence[Row]) -> list[Check]:
    """base < SFT < DPO and GRPO by the judge's utility on test prompts, intervals apart."""
    utility = {row.model: row.utility for row in rows if row.utility is not None and not row.setting}
    checks = []
    for low, high in (("base", "SFT"), ("SFT", "DPO"), ("SFT", "GRPO")):
        a, b = utility[low], utility[high]
        detail = f"{a.value:.2f} [{a.low:.2f}, {a.high:.2f}] < {b.value:.2f} [{b.low:.2f}, {b.high:.2f}]"
        checks.append(Check(f"{high} answers better than {low}, intervals apart", intervals.apart(a, b), detail))
    wins = {row.model: row.win_rate for row in rows if row.win_rate is not None and not row.setting}
    for name in ("DPO", "GRPO"):
        rate: WinRate = wins[name]
        detail = f"{rate.rate:.2f} [{rate.low:.2f}, {rate.high:.2f}]"
        checks.append(Check(f"{name} wins against SFT more often than not", rate.low > 0.5, detail))
    return checks


def _samples(said: Said, number: int = 8) -> list[Comparison]:
    """Prompts spread over the kinds of request, always the same ones."""
    requests = _requests(said, "test")
    first: dict[str, list[int]] = {}
    for i, request in enumerate(requests):
        first.setdefault(request.kind, []).append(i)
    chosen = [indices[0] for indices in first.values()][:number]
    return [
        Comparison(
            requests[i].text,
            {
                name: Answer(text, lab.utility(requests[i], text, done))
                for name in MODELS
                for text, done in [said[f"{name}/test/sampled"][i]]
            },
        )
        for i in chosen
    ]


def _stage(out: Path, name: str, seconds: Mapping[str, float]) -> Stage:
    folder, does, shown = _STAGES[name]
    record = read_record(out / folder)
    last = record[-1]
    facts: dict[str, str | float] = {"steps": len(record)}
    for metric, words in (
        ("eval/nll", "held-out loss"),
        ("eval/rewards/accuracies", "accuracy on held-out comparisons"),
        ("completions/mean_length", "tokens per answer at the end"),
    ):
        if metric in last:
            facts[words] = round(last[metric], 3)
    return Stage(
        name=name,
        does=does,
        recipe=(out / folder / "recipe.yaml").read_text(encoding="utf-8"),
        curves=curves(record, shown),
        seconds=seconds.get(name),
        facts=facts,
    )

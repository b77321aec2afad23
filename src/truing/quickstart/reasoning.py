"""Reasoning on the embedded world, in the style of R1 (arXiv:2501.12948):

base model -> SFT on solutions, some worked out -> RL with right answers in the right format -> evaluation -> report

Each stage writes its folder or file when it is done and is not done again.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from truing import lab, recipe
from truing.errors import RecipeError
from truing.evaluate import intervals
from truing.evaluate.reasoning import Solved, checks_itself, majority_at_k, pass_at_k
from truing.evaluate.report import Answer, Check, Comparison, Report, Row, Stage, curves, environment, write_report
from truing.lab.arithmetic import SOLUTION_MIX
from truing.progress import Progress
from truing.quickstart.answers import Speaker
from truing.record import read_record, replace_text
from truing.rewards.math import Math
from truing.train import train

__all__ = ["Settings", "reasoning"]

FORMAT = r"(\d+ [+-] \d+ = \d+\. )+The answer is \d+\."
"""The format that is rewarded: steps, then the answer. No think tags: this model's tokenizer takes `<think>` apart into
five tokens, and 1,600 solutions in tags did not teach it to carry a number across them (docs/reasoning.md)."""

# What differs from the shipped recipes, which are set for models of billions of parameters.
SFT = {
    "update.learning_rate": 6e-4,
    "update.batch_size": 16,
    "update.epochs": 2,
    "update.weight_decay": 0.01,
    "data.validation_share": 0.0,
}
RL = {
    "rollouts.group_size": 8,
    "rollouts.prompts_per_step": 16,
    "rollouts.max_new_tokens": 40,
    "update.learning_rate": 5e-4,
    "update.warmup": 0.1,
    "reduction": "token",
    "objectives": ["ppo_clip"],
    "rewards": [{"math": {"symbolic": False}}, {"regex": {"pattern": FORMAT, "whole": True}}],
    "record.evaluate_every": 4,
}
_SHOWN = (
    *("eval/accuracy", "eval/accuracy/greedy", "eval/pass@4", "eval/majority@4", "eval/self_check"),
    *("rewards/math/mean", "rewards/regex/mean", "frac_reward_zero_std", "completions/mean_length", "entropy"),
)
_STAGES = {
    "SFT": ("sft", "Imitates solutions: half say the answer alone, the others work it out, some of them badly."),
    "RL": ("reasoning", "Samples solutions and learns which are right and keep the format. No solution is shown."),
}
_K = 8
"""Samples of each test problem."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of everything, and the shares of solutions that are direct, a chain of thought, and a sloppy one."""

    seed: int = 0
    solutions: int = 800
    direct: float = SOLUTION_MIX["direct"]
    chain: float = SOLUTION_MIX["chain"]
    sloppy: float = SOLUTION_MIX["sloppy"]
    problems: int = 1000
    steps: int = 24
    test_problems: int = 250


def reasoning(out: Path, settings: Settings | None = None, *, resume: bool = False) -> Path:
    """Run everything into `out`; the path of `report.html`. `RecipeError` for a folder that holds another run."""
    settings = settings or Settings()
    torch.set_num_threads(1)  # at this size threads wait for one another longer than they work
    _claim(out, settings, resume)
    data = out / "data"
    mix = {"direct": settings.direct, "chain": settings.chain, "sloppy": settings.sloppy}
    lab.write_demonstrations(data / "solutions.jsonl", settings.solutions, settings.seed, arithmetic=1.0, solutions=mix)
    lab.write_problems(data / "problems.jsonl", "train", settings.problems, settings.seed)
    lab.write_problems(data / "dev.jsonl", "dev", 64)
    common = {"seed": settings.seed, "record.save_every": 0}
    sft = _trained(
        out, "SFT", SFT | common | {"model.path": str(lab.base_path()), "data.train": str(data / "solutions.jsonl")}
    )
    files = {"data.train": str(data / "problems.jsonl"), "data.validation": str(data / "dev.jsonl")}
    rl = _trained(out, "RL", RL | common | files | {"model.path": str(sft), "update.steps": settings.steps})
    _evaluate(out, {"SFT": sft, "RL": rl}, settings)
    return _page(out, settings)


def _claim(out: Path, settings: Settings, resume: bool) -> None:
    file = out / "quickstart.json"
    if file.exists():
        held = json.loads(file.read_text(encoding="utf-8"))
        if not resume or held != asdict(settings):
            remedy = "Continue it with --resume, or choose another --out."
            raise RecipeError(f"there is a quickstart in this folder, with {held}", where=str(out), remedy=remedy)
    out.mkdir(parents=True, exist_ok=True)
    replace_text(file, json.dumps(asdict(settings)))


def _trained(out: Path, name: str, overrides: Mapping[str, Any]) -> Path:
    """One training stage; the folder of its model."""
    chosen = _STAGES[name][0]
    folder = out / chosen
    if not (folder / "result.json").exists():
        began = time.process_time()
        with Progress(name) as progress:
            note = progress.note
            train(
                recipe.load(chosen, overrides),
                folder,
                resume=True,
                watch=progress.step,
                tell=lambda finding: note(f"{finding.action}: {finding}"),
            )
        _took(out, name, began)
    return folder / "model"


def _took(out: Path, name: str, began: float) -> None:
    """Processor seconds: what else the machine does makes no difference to them, or little."""
    file = out / "seconds.json"
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    replace_text(file, json.dumps(held | {name: time.process_time() - began}))


# ---- evaluation ----------------------------------------------------------------------------------------------------


def _evaluate(out: Path, models: Mapping[str, Path], settings: Settings) -> None:
    """Every model on the test problems, sampled and greedy."""
    path = out / "answers.json"
    if path.exists():
        return
    began = time.process_time()
    groups = lab.problems("test", settings.test_problems)
    said: dict[str, Any] = {
        "problems": [{"text": g.prompt.text, "answer": str(g.columns["answer"])} for g in groups],
    }
    with Progress("evaluation", 2 * len(models) * len(groups), unit="problem") as progress:
        done = 0
        for name, folder in models.items():
            speaker = Speaker(folder)
            for how, number, temperature in (("sampled", _K, 1.0), ("greedy", 1, 0.0)):
                rows = speaker.answer(groups, number, temperature=temperature, seed=7)
                said[f"{name}/{how}"] = [[[speaker.text(s), len(s.tokens)] for s in row] for row in rows]
                progress.update(done := done + len(groups))
    replace_text(path, json.dumps(said))
    _took(out, "evaluation", began)


def _solved(said: Mapping[str, Any], key: str) -> list[list[Solved]]:
    """The responses to each problem, as the reward `math` reads them."""
    math = Math(symbolic=False)
    out = []
    for problem, row in zip(said["problems"], said[key], strict=True):
        texts = [text for text, _ in row]
        right = math([""] * len(texts), texts, answer=[problem["answer"]] * len(texts))
        out.append([Solved(r == 1, math.vote(text), text) for r, text in zip(right, texts, strict=True)])
    return out


def _is_worked_out(text: str) -> bool:
    return re.fullmatch(FORMAT, text) is not None


def _row(said: Mapping[str, Any], name: str, how: str) -> Row:
    """Shares with intervals over problems: the samples of one problem are not independent of each other."""
    solved = _solved(said, f"{name}/{how}")
    rates = {"accuracy": intervals.mean([statistics.fmean(s.right for s in row) for row in solved])}
    if how == "sampled":
        rates |= {
            f"pass@{_K}": intervals.mean([pass_at_k(len(row), sum(s.right for s in row), _K) for row in solved]),
            f"majority@{_K}": intervals.mean([majority_at_k(row, _K) for row in solved]),
        }
    rates |= {
        "right format": intervals.mean([statistics.fmean(_is_worked_out(s.text) for s in row) for row in solved]),
        "self-check": intervals.mean([statistics.fmean(checks_itself(s.text) for s in row) for row in solved]),
    }
    lengths = [length for row in said[f"{name}/{how}"] for _, length in row]
    setting = "" if how == "sampled" else how
    return Row(name, rates=rates, setting=setting, figures={"tokens": statistics.fmean(lengths)})


def _page(out: Path, settings: Settings) -> Path:
    said = json.loads((out / "answers.json").read_text(encoding="utf-8"))
    seconds = json.loads((out / "seconds.json").read_text(encoding="utf-8"))
    rows = [_row(said, name, how) for how in ("sampled", "greedy") for name in _STAGES]
    before, after = (row.rates["accuracy"] for row in rows[:2])
    detail = " to ".join(f"{a.value:.2f} [{a.low:.2f}, {a.high:.2f}]" for a in (before, after))
    report = Report(
        title="Reasoning on the embedded world",
        summary=(
            "A base model of 0.8 million parameters sees solutions of word problems, half of them without a thought. "
            "Then it samples its own, and learns from two rules only: is the answer right, and is it worked out step "
            f"by step. Accuracy is on {settings.test_problems} held-out problems, {_K} samples each at "
            "temperature 1, its interval over problems. Seconds are processor seconds."
        ),
        checks=[Check("RL solves more than SFT, intervals apart", intervals.apart(before, after), detail)],
        evaluation=rows,
        samples=_samples(said),
        stages=[_stage(out, name, seconds) for name in _STAGES],
        timings={name: s for name, s in seconds.items() if name not in _STAGES},
        environment=environment(settings.seed, threads=torch.get_num_threads()),
        reproduce=[f"truing quickstart --reasoning --seed {settings.seed}"],
    )
    return write_report(report, out)


def _samples(said: Mapping[str, Any], number: int = 8) -> Sequence[Comparison]:
    solved = {name: _solved(said, f"{name}/sampled") for name in _STAGES}
    return [
        Comparison(
            problem["text"],
            {name: Answer(rows[i][0].text, float(rows[i][0].right)) for name, rows in solved.items()},
        )
        for i, problem in enumerate(said["problems"][:number])
    ]


def _stage(out: Path, name: str, seconds: Mapping[str, float]) -> Stage:
    folder, does = _STAGES[name]
    record = read_record(out / folder)
    text = (out / folder / "recipe.yaml").read_text(encoding="utf-8")
    facts = {"steps": record[-1]["step"]}
    return Stage(name, does, text, curves(record, ("loss",) if name == "SFT" else _SHOWN), seconds.get(name), facts)

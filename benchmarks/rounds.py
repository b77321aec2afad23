"""Rounds and best-of-N on the embedded world, by the hidden judge.

    truing quickstart --out q
    truing train iterative_dpo --model q/sft --data q/data/prompts.jsonl --reward q/reward --out q-dpo ...
    python benchmarks/rounds.py q q-dpo ... > results.json

For each run the model of every round, and for the SFT model best-of-N by the reward model: the judge's utility of one
sample for each prompt of split `test`, with 95 % intervals over prompts; differences are paired, prompt by prompt. No
model, reward or stop rule has seen these prompts or the judge. Settings: docs/rounds.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from truing import lab
from truing.bind import Bound, bind
from truing.evaluate.best_of_n import curve
from truing.evaluate.intervals import mean, paired_difference
from truing.evaluate.winrate import win_rate
from truing.quickstart.answers import MAX_NEW_TOKENS
from truing.recipe import Named
from truing.registry import reward
from truing.rollouts.sampling import Sampling
from truing.sampler import Answered, Sampler

CHUNK = 128


def answers(model: Path, num_prompts: int, num_samples: int, rewards: list[Bound]) -> list[Answered]:
    """Samples for test prompts, the same seeds for every model."""
    groups = lab.prompts("test", num_prompts, seed=0)
    sampler = Sampler(model, rewards)
    out: list[Answered] = []
    for first in range(0, len(groups), CHUNK):
        sampling = Sampling(max_new_tokens=MAX_NEW_TOKENS, seed=7 + first)
        out += sampler.answer(groups[first : first + CHUNK], num_samples, sampling)
    return out


def utilities(answered: Answered) -> list[float]:
    """What the hidden judge says of each sample."""
    request = lab.request_of(answered.group)
    each = zip(answered.texts, answered.samples, strict=True)
    return [lab.utility(request, text, sample.finished) for text, sample in each]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--curve-prompts", type=int, default=300)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    first = [utilities(a)[0] for a in answers(asked.quickstart / "sft" / "model", asked.prompts, 1, [])]
    for run in asked.runs:
        before, rows = first, [{"round": 0, "utility": asdict(mean(first))}]
        number = 1
        while (folder := run / f"round-{number}" / "run" / "model").is_dir():
            said = [utilities(a)[0] for a in answers(folder, asked.prompts, 1, [])]
            gain, won = paired_difference(said, before), win_rate(said, first)
            row = {"round": number, "utility": asdict(mean(said)), "gain": asdict(gain), "win_rate": asdict(won)}
            rows.append(row)
            sys.stderr.write(f"{run} {row}\n")
            before, number = said, number + 1
        found[run.name] = rows
    if asked.n > 1:
        judge = bind(reward, Named(name="model", settings={"path": str(asked.quickstart / "reward" / "model")}))
        drawn = answers(asked.quickstart / "sft" / "model", asked.curve_prompts, asked.n, [judge])
        points = curve([a.rewards for a in drawn], [utilities(a) for a in drawn])
        found["best_of_n"] = [asdict(point) for point in points]
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

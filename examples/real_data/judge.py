"""Scores each half of each data set with the reward model that was trained on the other.

    python judge.py OUT NAME...

Writes OUT/NAME/scores.json; a data set that has one is left alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from truing import feedback
from truing.group import StepLabels
from truing.record import replace_text

OTHER = {"a": "b", "b": "a"}


def scores(run: Path, half: Path) -> list[list[float]]:
    """A list for each group: a reward for each response or, of solutions with marks on their steps, the probability
    that the step is right, for each step of the one solution."""
    groups = feedback.read_all(half)
    if groups[0].said(StepLabels):
        from truing.rewards.process import ProcessReward

        return ProcessReward(path=str(run)).probabilities([g.prompt for g in groups], [g.responses[0] for g in groups])
    from truing.rewards.model import RewardModel

    return RewardModel(path=str(run), normalise=False).score_groups(groups)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("names", nargs="+", metavar="NAME")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        folder = chosen.out / name
        if (folder / "scores.json").exists():
            continue
        made = {
            tested: scores(folder / half / "model", folder / f"{tested}.jsonl.gz")
            for half, tested in OTHER.items()
            if (folder / half / "model").is_dir()  # nothing is trained on hh-rlhf's held-out files
        }
        replace_text(folder / "scores.json", json.dumps(made) + "\n")
        print(f"{name}: {', '.join(f'{len(rows)} groups of half {half}' for half, rows in made.items())} scored")


if __name__ == "__main__":
    main()

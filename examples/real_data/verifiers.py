"""Holds the reward `math` against what people published: prints the table of docs/rewards.md.

    python verifiers.py DATA

DATA/gsm8k/model_solutions_test300.jsonl.gz   problems with solutions by four models, and whether each is right
DATA/verifiable/math500_200.jsonl.gz          problems of MATH-500 with worked solution and answer
"""

from __future__ import annotations

import argparse
from pathlib import Path

from truing.feedback.sources import rows
from truing.rewards.math import Math

__all__ = ["agreement", "mismatched", "solved"]

SHIFTS = (1, 2, 3, 7, 31)
"""Whose answer a solution is held against: that of the problem so many rows on."""


def agreement(file: Path, judge: Math) -> tuple[int, int, int]:
    """(solutions that are called right or wrong as published, those published as right, all)."""
    same, right, count = 0, 0, 0
    for _, row in rows(file):
        for solution in (cell for cell in row.values() if isinstance(cell, dict)):
            reward = judge([""], [solution["solution"]], answer=[row["ground_truth"]])[0]
            same += (reward == 1) == solution["is_correct"]
            right += solution["is_correct"]
            count += 1
    return same, right, count


def solved(file: Path, judge: Math) -> tuple[int, int]:
    """(reference solutions that earn 1, all)."""
    found = [row for _, row in rows(file)]
    rewards = judge([""] * len(found), [r["solution"] for r in found], answer=[r["answer"] for r in found])
    return sum(reward == 1 for reward in rewards), len(found)


def mismatched(file: Path, judge: Math) -> tuple[int, int]:
    """(solutions that earn 1 against another problem's answer, all pairs of different answers)."""
    found = [row for _, row in rows(file)]
    pairs = [
        (row["solution"], other["answer"])
        for shift in SHIFTS
        for row, other in zip(found, [*found[shift:], *found[:shift]], strict=True)
        if row["answer"] != other["answer"]
    ]
    rewards = judge([""] * len(pairs), [s for s, _ in pairs], answer=[a for _, a in pairs])
    return sum(reward == 1 for reward in rewards), len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    judge = Math()
    same, right, count = agreement(data / "gsm8k" / "model_solutions_test300.jsonl.gz", judge)
    print(f"GSM8K: {same} of {count} solutions judged as published ({right} right, {count - right} wrong)")
    problems = data / "verifiable" / "math500_200.jsonl.gz"
    print("MATH-500: {} of {} reference solutions earn 1".format(*solved(problems, judge)))
    print("MATH-500: {} of {} solutions earn 1 against another problem's answer".format(*mismatched(problems, judge)))


if __name__ == "__main__":
    main()

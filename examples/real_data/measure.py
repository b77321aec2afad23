"""What came out: loss, and accuracy on held-out pairs with 95 % intervals, as Markdown.

    python measure.py RUNS --pairs FILE

RUNS is the folder that run.sh filled; FILE holds the pairs that its reward model and DPO were validated on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from truing import feedback
from truing.evaluate.intervals import Interval, proportion, win_share
from truing.group import Ranking
from truing.record import read_record


def compared(pairs: Path) -> list[tuple[int, int]]:
    """(characters of the better response, of the worse) of every pair."""
    return [
        (len(group.responses[better].text), len(group.responses[worse].text))
        for group in feedback.read(pairs)
        for said in group.said(Ranking)
        for better, worse in said.pairs()
    ]


def longer_wins(lengths: Sequence[tuple[int, int]]) -> Interval:
    """The accuracy of preferring whatever is longer: what a reward model has to beat to have read a word."""
    longer, shorter = sum(a > b for a, b in lengths), sum(a < b for a, b in lengths)
    return win_share(longer, len(lengths) - longer - shorter, shorter)


def accuracy(run: Path, num_pairs: int) -> Interval:
    """The share of held-out pairs that the model orders as the annotator did, from the run's last evaluation."""
    share = read_record(run)[-1]["eval/rewards/accuracies"]
    right = round(share * num_pairs)
    if abs(share * num_pairs - right) > 0.01:
        raise SystemExit(f"{run}: {share} is no share of {num_pairs} pairs: was it validated on another file?")
    return proportion(right, num_pairs)


def by_length(model: Path, pairs: Path) -> Iterator[tuple[str, Interval]]:
    """A reward model's accuracy where the better response is the longer one, and where it is the shorter one. Texts are
    scored whole, not cut as in training."""
    from truing.rewards.model import RewardModel

    groups = [group for group in feedback.read(pairs) if any(said.pairs() for said in group.said(Ranking))]
    scores = RewardModel(path=str(model)).score_groups(groups)
    right: dict[str, list[bool]] = {"all": [], "better is longer": [], "better is shorter": []}
    for group, row in zip(groups, scores, strict=True):
        better, worse = group.said(Ranking)[0].pairs()[0]
        gap = len(group.responses[better].text) - len(group.responses[worse].text)
        for name in ("all", *(["better is longer"] if gap > 0 else ["better is shorter"] if gap < 0 else [])):
            right[name].append(row[better] > row[worse])
    for name, judged in right.items():
        yield name, proportion(sum(judged), len(judged))


def shown(interval: Interval) -> str:
    return f"{interval.value:.3f} | {interval.low:.3f} to {interval.high:.3f} | {interval.n}"


def mean(record: list[dict[str, float]], name: str) -> float:
    return sum(line[name] for line in record) / len(record)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args(arguments)
    lengths = compared(chosen.pairs)

    print("| run | steps | loss, first twentieth | loss, last twentieth | held-out loss |\n|---|---|---|---|---|")
    for name in ("sft", "reward", "dpo"):
        record = read_record(chosen.runs / name)
        part = max(1, len(record) // 20)
        first, last, held = mean(record[:part], "loss"), mean(record[-part:], "loss"), record[-1]["eval/loss"]
        print(f"| {name} | {len(record)} | {first:.3f} | {last:.3f} | {held:.3f} |")

    print("\n| orders held-out pairs as people did | accuracy | 95 % interval | pairs |\n|---|---|---|---|")
    print(f"| chance | {0.5:.3f} | | {len(lengths)} |")
    print(f"| the longer one wins | {shown(longer_wins(lengths))} |")
    for name, said in (("reward", "reward model"), ("dpo", "DPO, implicit reward")):
        print(f"| {said} | {shown(accuracy(chosen.runs / name, len(lengths)))} |")

    print("\n| reward model, whole texts | accuracy | 95 % interval | pairs |\n|---|---|---|---|")
    for name, interval in by_length(chosen.runs / "reward", chosen.pairs):
        print(f"| {name} | {shown(interval)} |")


if __name__ == "__main__":
    main()

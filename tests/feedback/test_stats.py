"""What is in feedback, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.feedback.stats import Spread, fingerprint, stats, summary
from truing.group import Group, Labels, Message, Prompt, Ranking, Response, Scores, StepLabels

SaveRows = Callable[[str, list[dict[str, Any]]], Path]


def group(*texts: str, said: tuple[Any, ...] = (), prompt: str = "Which one?") -> Group:
    return Group(Prompt.of(prompt), tuple(map(Response.of, texts)), said)


def test_quantiles_are_numbers_that_occur() -> None:
    spread = Spread.of(Counter(range(1, 101)))
    assert spread is not None
    assert (spread.min, spread.p10, spread.median, spread.p90, spread.p99, spread.max) == (1, 10, 50, 90, 99, 100)
    assert spread.mean == pytest.approx(50.5)
    assert Spread.of(Counter()) is None


def test_kinds_and_sizes_are_counted() -> None:
    made = summary(
        [
            group(),
            group("a"),
            group("a", "b"),
            group("a", "b", said=(Ranking((1, 2)), Scores({"x": (1.0, None)}))),
            group("a", said=(Labels((True,)),)),
            group("a", said=(StepLabels(((1, -1, 0, 1),)),)),
        ]
    )
    assert made.kinds == {
        "prompt": 1, "demonstration": 1, "samples": 1, "ranking": 1, "scores": 1, "labels": 1, "steplabels": 1
    }  # fmt: skip
    assert made.responses == {0: 1, 1: 3, 2: 2}
    assert made.labels == {"right": 2, "up": 1, "wrong": 1, "neutral": 1}
    assert made.aspects == {"x": 1}
    assert (made.num_groups, made.num_responses, made.num_feedback) == (6, 7, 4)


def test_the_share_of_longer_winners_leaves_out_equal_lengths() -> None:
    made = summary(
        [
            group("long one", "short", said=(Ranking((1, 2)),)),
            group("long one", "longer still", said=(Ranking((1, 2)),)),
            group("long two", "short", said=(Ranking((1, 2)),)),
            group("same", "size", said=(Ranking((1, 2)),)),
        ]
    )
    assert (made.num_pairs, made.num_longer, made.num_shorter) == (4, 2, 1)
    assert made.longer_share == pytest.approx(2 / 3)
    assert summary([group("a")]).longer_share is None


def test_ties_equal_pairs_duplicates_and_empty_responses_are_counted() -> None:
    tie = group("a", "a", said=(Ranking((1, 1)),))
    made = summary([tie, tie, group("a", "", said=(Ranking((1, 2)),)), group("b", prompt="Another?")])
    assert (made.num_ties, made.num_identical, made.num_duplicates) == (2, 2, 1)
    assert (made.num_repeated_prompts, made.num_empty) == (2, 1)


def test_annotators_are_counted() -> None:
    said = tuple(Ranking((1, 2), annotator_id=name) for name in ("ann", "bob", "ann"))
    made = summary([group("a", "b", said=said)])
    assert made.annotators == {"ann": 2, "bob": 1}
    assert made.num_annotators == 2


def test_lengths_are_in_characters_and_words() -> None:
    made = summary([group("one two", "three", prompt="four five six")])
    assert made.prompt.words is not None
    assert made.response.characters is not None
    assert made.prompt.words.max == 3
    assert (made.response.characters.min, made.response.characters.max) == (5, 7)


def test_a_file_is_counted_and_described(save_rows: SaveRows) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "p", "chosen": "a b", "rejected": "a", "annotator_id": "ann", "topic": 1},
        {"prompt": "p", "chosen": "", "rejected": "a"},
    ]
    made = stats(save_rows("f.jsonl", rows), skip_bad=True)
    assert made.num_groups == 1
    assert made.columns == {"topic": 1}
    text = made.text()
    for line in ("groups        1 (ranking: 1)", "better longer 100.0%", "annotators    1 (ann: 1)", "skipped       1"):
        assert line in text


def test_a_fingerprint_depends_on_what_is_said_and_not_on_who_holds_the_text():
    text = "".join(["he", "llo"])  # equal to "hello", and another object, which nobody has interned
    assert fingerprint(Response.of("hello"), None) == fingerprint(Response.of(text), None)
    different = [
        fingerprint(Response.of("hello")),
        fingerprint(Response(messages=(Message("assistant", "hello"),), steps=("hello",))),
        fingerprint(Prompt.of("hello")),
        fingerprint("hello"),
        fingerprint("hel", "lo"),
        fingerprint(1),
        fingerprint(1.0),
        fingerprint(True),
        fingerprint("\ud800"),  # half a surrogate pair, as broken files have it
    ]
    assert len(set(different)) == len(different)

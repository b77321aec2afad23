"""Scores of several aspects: found in the data, averaged over who gave them, on one scale."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from truing.batch import data_streams
from truing.chat import Chat
from truing.experience.aspects import Scale, described, errors, measure, of_responses, standardise
from truing.experience.offline import trees
from truing.group import Group, Prompt, Response, Scores
from truing.models.loading import load_tokenizer
from truing.tree import Branch, Tree, pack

NAN = math.nan


def _tree(**aspects: list[float]) -> Tree:
    size = len(next(iter(aspects.values()), [0.0]))
    return Tree([1], [Branch([2], [True]) for _ in range(size)], {"aspects": aspects})


def test_an_aspect_is_the_mean_of_those_who_gave_it() -> None:
    said = [
        Scores({"helpful": (4.0, None), "clear": (1.0, 0.0)}),
        Scores({"helpful": (2.0, None)}),
        Scores({"overall": (None, 5.0)}),
    ]
    found = of_responses(said)
    assert found["clear"] == [1.0, 0.0]
    assert found["helpful"] == [3.0, pytest.approx(NAN, nan_ok=True)]
    assert found["overall"] == [pytest.approx(NAN, nan_ok=True), 5.0]


def test_aspects_come_in_order_of_name_with_mean_and_spread() -> None:
    made = [_tree(helpful=[4.0, 0.0], clear=[1.0, NAN]), _tree(helpful=[2.0]), _tree(none=[NAN])]
    scales = measure(made)
    assert list(scales) == ["clear", "helpful"]
    assert scales["clear"] == Scale(1.0, 0.0)
    assert scales["helpful"].mean == 2.0
    assert scales["helpful"].std == pytest.approx(math.sqrt(8 / 3))


def test_scores_become_standard_deviations_and_what_is_missing_stays_so() -> None:
    made = [_tree(clear=[1.0, 3.0]), _tree(other=[7.0])]
    standardise(made, {"clear": Scale(1.0, 2.0), "same": Scale(5.0, 0.0)})
    assert made[0].feedback["aspect_scores"] == [
        [0.0, pytest.approx(NAN, nan_ok=True)],
        [1.0, pytest.approx(NAN, nan_ok=True)],
    ]
    assert all(math.isnan(v) for v in made[1].feedback["aspect_scores"][0])
    assert Scale(5.0, 0.0).standard(5.0) == 0.0


def test_a_batch_holds_a_column_for_each_aspect(toy_folder: Path) -> None:
    chat = Chat(load_tokenizer(toy_folder))
    two = (Response.of("it sat"), Response.of("it ran"))
    groups = [
        Group(Prompt.of("the cat"), two, (Scores({"b": (1.0, 3.0)}), Scores({"a": (None, 1.0)}))),
        Group(Prompt.of("a dog"), two[:1], (Scores({"a": (3.0,)}),)),
    ]
    made = trees([("f:1", g) for g in groups], chat, {"aspect_scores", "aspect_rewards"})
    standardise(made, measure(made))
    found = data_streams(made, pack(made))["aspect_scores"]
    expected = [[NAN, -1.0], [-1.0, 1.0], [1.0, NAN]]
    assert [[round(v, 6) for v in row] for row in found.tolist()] == [
        [pytest.approx(v, nan_ok=True) for v in row] for row in expected
    ]


def test_a_group_in_which_nobody_gave_a_score_is_left_out(toy_folder: Path) -> None:
    from collections import Counter

    counts: Counter[str] = Counter()
    group = Group(Prompt.of("the cat"), (Response.of("it sat"),), (Scores({"a": (None,)}),))
    assert trees([("f:1", group)], Chat(load_tokenizer(toy_folder)), {"aspect_scores"}, counts) == []
    assert counts == {"groups without a score": 1}


def test_the_metadata_has_what_the_heads_say_and_the_points_they_learnt() -> None:
    found = described({"a": Scale(3.0, 2.0), "b": Scale(1.0, 0.0)}, [[1.0, 5.0], [3.0, 5.0]])
    assert found == {
        "a": {"mean": 2.0, "std": 1.0, "score_mean": 3.0, "score_std": 2.0},
        "b": {"mean": 5.0, "std": 1.0, "score_mean": 1.0, "score_std": 1.0},
    }


def test_errors_are_in_points_and_of_what_was_scored() -> None:
    scales = {"clear": Scale(1.0, 2.0), "helpful": Scale(3.0, 0.5), "kind": Scale(0.0, 1.0)}
    made = [_tree(clear=[1.0, 5.0], helpful=[NAN, 3.0])]
    standardise(made, scales)  # clear 0 and 2, helpful none and 0
    found = errors(scales, made, [[[1.0, 9.0, 9.0], [1.0, -1.0, 9.0]]])
    assert found == {"error/clear": pytest.approx(2.0), "error/helpful": pytest.approx(0.5)}

"""One kind of feedback as another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing import feedback
from truing.errors import DataError, RegistryError
from truing.feedback.convert import best_and_worst, convert, demonstrations, pairs, rankings, scores_ranking
from truing.group import Group, Labels, Prompt, Ranking, Response, Scores

SaveRows = Callable[[str, list[dict[str, Any]]], Path]


def group(*said: Ranking | Scores | Labels, size: int = 3) -> Group:
    return Group(Prompt.of("Which?"), tuple(Response.of("abcdefgh"[i]) for i in range(size)), said, {"topic": 1})


def texts(groups: list[Group]) -> list[str]:
    return ["".join(r.text for r in g.responses) for g in groups]


def test_a_ranking_of_three_gives_all_three_pairs() -> None:
    made = pairs(group(Ranking((2, 3, 1), annotator_id="ann")))
    assert texts(made) == ["ab", "ca", "cb"]
    assert {g.feedback for g in made} == {(Ranking((1, 2), annotator_id="ann"),)}
    assert made[0].columns == {"topic": 1}


def test_ties_and_unranked_give_no_pairs() -> None:
    assert texts(pairs(group(Ranking((1, 1, 2))))) == ["ac", "bc"]
    assert pairs(group(Ranking((1, None, None)))) == []


def test_a_pair_keeps_strength_and_margin_and_puts_the_better_first() -> None:
    (made,) = pairs(group(Ranking((2, 1), strength=0.8, margin=2.0), size=2))
    assert texts([made]) == ["ba"]
    assert made.feedback == (Ranking((1, 2), strength=0.8, margin=2.0),)


def test_every_annotator_gives_pairs() -> None:
    made = pairs(group(Ranking((1, 2), annotator_id="x"), Ranking((2, 1), annotator_id="y"), size=2))
    assert [(t, g.feedback[0].annotator_id) for t, g in zip(texts(made), made, strict=True)] == [
        ("ab", "x"),
        ("ba", "y"),
    ]


def test_thumbs_give_no_pairs_and_say_so() -> None:
    with pytest.raises(DataError, match="the group has Labels, which puts nothing in order"):
        pairs(group(Labels((True, None, False))))


def test_best_and_worst_take_the_ends() -> None:
    assert texts(best_and_worst(group(Ranking((2, 3, 1))))) == ["cb"]


def test_best_and_worst_take_the_first_where_several_tie() -> None:
    assert texts(best_and_worst(group(Ranking((1, 1, 2, 2)), size=4))) == ["ac"]
    assert best_and_worst(group(Ranking((1, 1, None)))) == []


def test_the_best_becomes_a_demonstration() -> None:
    (made,) = demonstrations(group(Ranking((2, 3, 1))))
    assert made == Group(Prompt.of("Which?"), (Response.of("c"),), (), {"topic": 1})
    assert demonstrations(made) == [made]


def test_scores_become_ranks_best_first() -> None:
    said = Scores({"overall": (3.0, 5.0, None, 4.0)}, scale=(1, 5), annotator_id="ann")
    assert scores_ranking(said) == Ranking((3, 1, None, 2), annotator_id="ann")


def test_equal_scores_tie() -> None:
    assert scores_ranking(Scores({"overall": (4.0, 4.0, 2.0)})).ranks == (1, 1, 2)


def test_a_tie_is_counted_from_its_best() -> None:
    # 5.0 and 4.5 differ by 0.5; 4.0 is near to 4.5 but not to 5.0.
    said = Scores({"overall": (5.0, 4.5, 4.0)})
    assert scores_ranking(said, tolerance=0.5).ranks == (1, 1, 2)
    assert scores_ranking(said, tolerance=0.4).ranks == (1, 2, 3)
    assert scores_ranking(said, tolerance=1.0).ranks == (1, 1, 1)


def test_several_aspects_need_a_name() -> None:
    said = Scores({"helpful": (1.0, 2.0), "harmless": (2.0, 1.0)})
    assert scores_ranking(said, aspect="helpful").ranks == (2, 1)
    assert scores_ranking(said, aspect="harmless").ranks == (1, 2)
    with pytest.raises(DataError, match="aspects helpful, harmless, and nothing says which"):
        scores_ranking(said)
    with pytest.raises(DataError, match="`brief` is none of them"):
        scores_ranking(said, aspect="brief")
    with pytest.raises(ValueError, match="negative"):
        scores_ranking(said, aspect="helpful", tolerance=-1)


@given(st.lists(st.none() | st.integers(0, 6).map(float), min_size=1, max_size=8), st.sampled_from([0.0, 1.0, 2.5]))
def test_ranks_follow_scores_for_any_tolerance(values: list[float | None], tolerance: float) -> None:
    ranks = scores_ranking(Scores({"overall": tuple(values)}), tolerance=tolerance).ranks
    scored = [(v, r) for v, r in zip(values, ranks, strict=True) if v is not None and r is not None]
    assert [r is None for r in ranks] == [v is None for v in values]
    for v, r in scored:
        for w, s in scored:
            assert v <= w or r <= s  # a better score is never behind
            assert r != s or abs(v - w) <= tolerance  # what ties is near
            assert r == s or v != w  # what is equal ties


def test_scores_and_rankings_each_give_a_group() -> None:
    made = rankings(group(Ranking((1, 2), annotator_id="x"), Scores({"overall": (1.0, 2.0)}), size=2))
    assert [g.feedback[0] for g in made] == [Ranking((1, 2), annotator_id="x"), Ranking((2, 1))]


def test_a_file_of_scores_becomes_a_file_of_pairs(save_rows: SaveRows, tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "responses": ["a", "b", "c"], "scores": [1, 3, 2]},
        {"prompt": "q", "responses": ["a", "b"], "scores": [1, 1]},
    ]
    done = convert(save_rows("f.jsonl", rows), tmp_path / "pairs.jsonl", to="pairs")
    assert (done.num_read, done.num_written, done.num_silent, done.format) == (2, 3, 1, "preference")
    assert texts(feedback.read_all(tmp_path / "pairs.jsonl")) == ["ba", "bc", "ca"]
    assert "3 rows of format preference, from 2 groups" in done.text()
    assert "1 groups gave none" in done.text()


def test_a_format_becomes_another(save_rows: SaveRows, tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "input": "1, 2", "output": "3", "id": 7}]
    convert(save_rows("f.json", rows), tmp_path / "m.jsonl", to="messages")
    row = json.loads((tmp_path / "m.jsonl").read_text())
    assert row == {
        "messages": [{"role": "user", "content": "Add.\n\n1, 2"}, {"role": "assistant", "content": "3"}],
        "id": 7,
        "input": "1, 2",
    }
    convert(tmp_path / "m.jsonl", tmp_path / "a.json", to="alpaca")
    assert json.loads((tmp_path / "a.json").read_text()) == rows


def test_a_row_that_does_not_fit_is_named_by_its_line_and_nothing_is_written(
    save_rows: SaveRows, tmp_path: Path
) -> None:
    rows = [
        {"prompt": "p", "completion": "a"},
        {"prompt": "p", "completion": [{"role": "assistant", "content": "a"}] * 2},
    ]
    path = save_rows("f.jsonl", rows)
    with pytest.raises(DataError) as caught:
        convert(path, tmp_path / "out.jsonl", to="alpaca")
    assert caught.value.where == f"{path}:2"
    assert not (tmp_path / "out.jsonl").exists()
    done = convert(path, tmp_path / "out.jsonl", to="alpaca", skip_bad=True)
    assert (done.num_written, [error.where for error in done.skipped]) == (1, [f"{path}:2"])
    assert f"1 rows skipped:\n  {path}:2" in done.text()


def test_an_unknown_target_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="Did you mean `pairs`"):
        convert("any.jsonl", tmp_path / "out.jsonl", to="pair")

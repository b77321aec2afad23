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
from truing.feedback.convert import (
    KINDS,
    Options,
    adjacent_pairs,
    best_and_rest,
    best_and_worst,
    convert,
    demonstrations,
    labels,
    labels_ranking,
    losses,
    pairs,
    rankings,
    revisions,
    scores,
    scores_ranking,
)
from truing.feedback.merge import METHODS
from truing.group import Critique, Feedback, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels

SaveRows = Callable[[str, list[dict[str, Any]]], Path]


def group(*said: Feedback, size: int = 3) -> Group:
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


def test_marks_on_steps_give_no_pairs_and_say_so() -> None:
    with pytest.raises(DataError, match="the group has StepLabels, which puts nothing in order"):
        pairs(group(StepLabels(((1,), (0,), (-1,)))))


def test_up_beats_down_and_what_has_no_thumb_is_in_no_pair() -> None:
    assert texts(pairs(group(Labels((True, None, False, True)), size=4))) == ["ac", "dc"]
    assert labels_ranking(Labels((True, None, False))) == Ranking((1, None, 2))
    assert labels_ranking(Labels((False, False))) == Ranking((1, 1))
    assert pairs(group(Labels((True, True, None)))) == []


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


def test_adjacent_pairs_of_a_strict_ranking_are_one_less_than_its_responses() -> None:
    assert texts(adjacent_pairs(group(Ranking((3, 1, 2, 4)), size=4))) == ["bc", "ca", "ad"]
    # a and b tie, then c: each of the tied against the next.
    assert texts(adjacent_pairs(group(Ranking((1, 1, 5))))) == ["ac", "bc"]
    assert adjacent_pairs(group(Ranking((1, 1, None)))) == []


def test_the_best_beats_all_the_rest() -> None:
    assert texts(best_and_rest(group(Ranking((3, 1, 2, None)), size=4))) == ["bc", "ba"]
    assert texts(best_and_rest(group(Ranking((1, 2, 1))))) == ["ab", "cb"]
    assert best_and_rest(group(Ranking((None, None, None)))) == []


def test_the_gap_of_scores_becomes_strength_through_the_logistic_function() -> None:
    said = Scores({"overall": (5.0, 3.0, 1.0)}, scale=(1, 5))
    made = pairs(group(said), Options(strength_scale=2.0))
    strengths = [g.said(Ranking)[0].strength for g in made]
    # sigmoid(1), sigmoid(2), sigmoid(1)
    assert strengths == pytest.approx([0.731059, 0.880797, 0.731059], abs=1e-6)
    assert [g.said(Ranking)[0].strength for g in pairs(group(said))] == [None] * 3
    with pytest.raises(ValueError, match="not above 0"):
        Options(strength_scale=0.0)


def test_a_preference_of_nine_in_ten_is_a_gap_of_2_197() -> None:
    said = Scores({"overall": (2.197225, 0.0)})
    (made,) = pairs(group(said, size=2), Options(strength_scale=1.0))
    assert made.said(Ranking)[0].strength == pytest.approx(0.9, abs=1e-6)


def test_of_several_scores_the_one_with_the_aspect_speaks() -> None:
    said = (Scores({"overall": (1.0, 2.0)}, scale=(1, 5)), Scores({"brief": (1.0, 0.0), "kind": (0.5, 0.5)}))
    assert texts(pairs(group(*said, size=2))) == ["ba"]
    assert texts(pairs(group(*said, size=2), Options(aspect="brief"))) == ["ab"]


def test_two_equal_responses_are_no_pair() -> None:
    same = Group(Prompt.of("?"), (Response.of("a"), Response.of("a")), (Labels((True, False)),))
    assert pairs(same) == []


SAID: dict[str, Feedback] = {
    "rankings": Ranking((1, 2)),
    "scores": Scores({"overall": (1.0, 0.0)}, (0.0, 1.0)),
    "labels": Labels((True, False)),
    "step_labels": StepLabels(((1,), (-1,))),
    "critique": Critique((None, None), (Response.of("A"), None)),
}
REFUSED = {
    *(
        (kind, "step_labels")
        for kind in ("pairs", "adjacent_pairs", "best_and_worst", "best_and_rest", "rankings", "scores")
    ),
    *((kind, "critique") for kind in ("rankings", "scores", "labels")),
    *(("revisions", kind) for kind in SAID if kind != "critique"),
}


@pytest.mark.parametrize("source", SAID)
@pytest.mark.parametrize("to", KINDS)
def test_every_kind_becomes_every_other_or_is_refused_with_what_would_help(to: str, source: str) -> None:
    told = group(SAID[source], size=2)
    if (to, source) in REFUSED:
        with pytest.raises(
            DataError, match="the group has (StepLabels|Critique|Ranking|Scores|Labels), which"
        ) as caught:
            KINDS[to].make(told, Options())
        assert caught.value.remedy
    else:
        made = KINDS[to].make(told, Options())
        assert made
        rows = [feedback.FORMATS[KINDS[to].format].write(each) for each in made]
        assert len(rows) == len(made)


def test_what_training_suggests_to_convert_to_exists() -> None:
    # experience.trees: "truing feedback convert --to ..."
    assert {"pairs", "rankings", "scores", "labels"} <= set(KINDS)


def scored(*said: Feedback, size: int = 3) -> list[tuple[float | None, ...]]:
    return [g.said(Scores)[0].values["overall"] for g in scores(group(*said, size=size))]


def test_a_rank_is_the_share_of_the_others_that_it_beats() -> None:
    assert scored(Ranking((2, 1, 3))) == [(0.5, 1.0, 0.0)]
    # b and c tie behind a: each beats none of two and ties with one.
    assert scored(Ranking((1, 2, 2))) == [(1.0, 0.25, 0.25)]
    assert scored(Ranking((1, None, 2))) == [(1.0, None, 0.0)]
    assert scored(Ranking((2, 1), strength=0.75), size=2) == [(0.25, 0.75)]
    assert scored(Ranking((1, None, None))) == []


def test_thumbs_are_scores_of_one_and_zero_and_scores_stay() -> None:
    assert scored(Labels((True, None, False))) == [(1.0, None, 0.0)]
    said = Scores({"overall": (3.0, 5.0, None)}, (1, 5), "ann")
    assert [g.feedback for g in scores(group(said, Ranking((1, 2, 3))))] == [(said,)]
    assert losses(group(said), "scores") == []


def thumbs(groups: list[Group]) -> list[tuple[str, bool | None]]:
    return [(g.responses[0].text, g.said(Labels)[0].values[0]) for g in groups]


def test_best_is_up_worst_is_down_and_between_is_nothing() -> None:
    assert thumbs(labels(group(Ranking((2, 1, 3))))) == [("b", True), ("c", False)]
    assert thumbs(labels(group(Ranking((1, 2), annotator_id="x"), size=2))) == [("a", True), ("b", False)]
    assert labels(group(Ranking((1, 1, None)))) == []


def test_scores_are_good_from_the_threshold_on() -> None:
    said = Scores({"overall": (1.0, 3.0, 4.0)}, scale=(1, 5))
    assert thumbs(labels(group(said))) == [("a", False), ("b", True), ("c", True)]
    assert thumbs(labels(group(said), Options(threshold=3.5))) == [("a", False), ("b", False), ("c", True)]
    with pytest.raises(DataError, match="nothing says from which score on"):
        labels(group(Scores({"overall": (1.0, 2.0, None)})))


def test_a_solution_is_wrong_if_a_step_is_and_right_only_if_all_are_judged() -> None:
    answers = tuple(Response.of_steps(["s", "t"]) for _ in range(3))
    said = Group(Prompt.of("?"), answers, (StepLabels(((1, -1), (1, 0), (1, None))),))
    made = labels(said)
    assert [g.said(Labels)[0].values for g in made] == [(False,), (True,)]
    assert all(g.responses[0].steps == () for g in made)


def test_a_revision_is_preferred_to_the_original() -> None:
    critique = Critique(("rude", None, "as it was"), (Response.of("A"), None, Response.of("c")), "ann")
    (made,) = revisions(group(critique))
    assert texts([made]) == ["Aa"]
    assert made.feedback == (Ranking.pair(annotator_id="ann"),)
    assert KINDS["pairs"].make(group(critique), Options()) == [made]
    with pytest.raises(DataError, match="the group has Labels, which gives no revisions"):
        revisions(group(Labels((True, None, None))))


def test_what_is_up_and_what_is_revised_is_worth_imitating() -> None:
    assert [g.responses[0].text for g in demonstrations(group(Labels((True, False, True))))] == ["a", "c"]
    critique = Critique((None, None, None), (None, Response.of("B"), None))
    assert [g.responses[0].text for g in demonstrations(group(critique))] == ["B"]
    assert [g.responses[0].text for g in demonstrations(group(Ranking((2, 1, 3)), Ranking((1, 2, 3))))] == ["b", "a"]


def test_a_strict_pair_is_lossless_and_what_else_is_lost_is_said() -> None:
    assert losses(group(Ranking((1, 2), strength=0.8), size=2), "pairs") == []
    assert losses(group(Ranking((1, 1, None))), "pairs") == [
        "ties",
        "responses left unranked",
        "which pairs came from one ranking",
    ]
    assert losses(group(Ranking((1, 2, 3))), "rankings") == []
    assert losses(group(Ranking((1, 2, 3))), "labels") == [
        "what was compared with what",
        "the responses between best and worst",
    ]
    assert losses(group(Labels((True, None, None))), "labels") == []


def test_single_thumbs_are_paired_by_their_prompt_across_rows(save_rows: SaveRows, tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "completion": "a", "label": True, "topic": "x", "id": 1},
        {"prompt": "q", "completion": "a", "label": True, "topic": "x", "id": 2},
        {"prompt": "p", "completion": "b", "label": False, "topic": "x", "id": 3},
        {"prompt": "p", "completion": "c", "label": False, "topic": "x", "id": 4},
    ]
    done = convert(save_rows("f.jsonl", rows), tmp_path / "pairs.jsonl", to="pairs")
    made = feedback.read_all(tmp_path / "pairs.jsonl")
    assert [(g.prompt.text, t) for g, t in zip(made, texts(made), strict=True)] == [("p", "ab"), ("p", "ac")]
    assert made[0].columns == {"topic": "x"}
    assert (done.num_read, done.num_silent) == (4, 1)
    assert "lost: whether a response is good" in done.text()


def test_a_conversion_says_that_it_is_lossless(save_rows: SaveRows, tmp_path: Path) -> None:
    path = save_rows("f.jsonl", [{"prompt": "p", "responses": ["a", "b"], "ranking": [1, 0]}])
    assert "lossless" in convert(path, tmp_path / "p.jsonl", to="pairs").text()
    assert "lossless" not in convert(path, tmp_path / "l.jsonl", to="labels").text()


def test_votes_on_the_same_pair_are_merged_whichever_side_it_was_shown_on(save_rows: SaveRows, tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "responses": ["a", "b"], "ranking": [0, 1], "annotator_id": "x"},
        {"prompt": "p", "responses": ["b", "a"], "ranking": [1, 0], "annotator_id": "y"},
        {"prompt": "p", "responses": ["a", "b"], "ranking": [1, 0], "annotator_id": "z"},
    ]
    path = save_rows("f.jsonl", rows)
    done = convert(path, tmp_path / "p.jsonl", to="pairs", merge_by="mean")
    (made,) = feedback.read_all(tmp_path / "p.jsonl")
    assert texts([made]) == ["ab"]
    assert made.said(Ranking)[0].strength == pytest.approx(2 / 3)
    assert (done.num_read, done.num_merged) == (3, 1)
    assert "merged by mean: 1 groups" in done.text()
    with pytest.raises(RegistryError, match="Did you mean `majority`"):
        convert(path, tmp_path / "p.jsonl", to="pairs", merge_by="majorty")


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


@pytest.mark.parametrize("name", [*KINDS, *METHODS])
def test_every_kind_and_method_is_in_the_docs(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in page

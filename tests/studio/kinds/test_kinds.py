"""What every kind promises, and what each of them makes of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from truing.errors import RegistryError
from truing.feedback import formats
from truing.feedback.formats.red_team import ASPECT
from truing.group import Critique, Group, Labels, Message, Prompt, Ranking, Response, Scores, StepLabels
from truing.studio import kinds
from truing.studio.errors import AnswerError

TWO = Group(Prompt.of("why?"), (Response.of("because\nso"), Response.of("no idea")), columns={"category": "x"})
THREE = Group(Prompt.of("why?"), (Response.of("a"), Response.of("b"), Response.of("c")))
BRIEF = Group(Prompt.of("make it swear"))
TALK = [{"role": "user", "content": "swear"}, {"role": "assistant", "content": "no"}]

SAMPLES: dict[str, tuple[Group, dict[str, Any]]] = {
    "pair": (TWO, {"choice": "second", "strength": 3, "comment": "longer"}),
    "ranking": (THREE, {"ranks": [2, 1, 2]}),
    "thumbs": (TWO, {"labels": [True, None]}),
    "stars": (TWO, {"scores": {"overall": [4, None]}}),
    "steps": (TWO, {"marks": [[1, -1], [0]], "first_error": [1, None]}),
    "critique": (TWO, {"texts": ["too short", None]}),
    "edit": (TWO, {"edits": ["because\nof that", None], "texts": None}),
    "red_team": (BRIEF, {"harm": 3, "turns": TALK}),
}


@pytest.mark.parametrize("name", kinds.names())
def test_every_kind_checks_its_answer_once_and_for_all(name: str) -> None:
    kind, (group, answer) = kinds.get(name), SAMPLES[name]
    settings = kind.settings()
    kind.check_group(group)
    checked = kind.check(answer, group, settings)
    assert kind.check(checked, group, settings) == checked
    assert kind.settings(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize("name", kinds.names())
def test_every_kind_makes_groups_that_a_file_can_hold(name: str) -> None:
    kind, (group, answer) = kinds.get(name), SAMPLES[name]
    settings = kind.settings()
    made = kind.groups(group, [("ann", kind.check(answer, group, settings))], settings)
    assert all(said.annotator_id == "ann" for each in made for said in each.feedback)
    assert sum(len(each.feedback) for each in made) >= 1
    form = formats.get("group")
    assert [form.read(form.write(each), "here") for each in made] == made


@pytest.mark.parametrize("name", [name for name in kinds.names() if kinds.get(name).gold])
def test_the_known_answer_itself_scores_one(name: str) -> None:
    kind, (group, answer) = kinds.get(name), SAMPLES[name]
    checked = kind.check(answer, group, kind.settings())
    assert kind.score_gold(checked, checked) == 1.0


@pytest.mark.parametrize("name", kinds.names())
@pytest.mark.parametrize("answer", [{}, {"choice": 1}, {"ranks": "12"}, {"labels": [1, 0]}, {"x": None}, {"texts": 3}])
def test_no_kind_takes_what_is_no_answer(name: str, answer: Mapping[str, Any]) -> None:
    kind, (group, _) = kinds.get(name), SAMPLES[name]
    with pytest.raises(AnswerError, match=f"answer of kind `{name}`"):
        kind.check(answer, group, kind.settings())


@pytest.mark.parametrize("name", kinds.names())
def test_unknown_settings_are_refused(name: str) -> None:
    with pytest.raises(AnswerError, match="nonsense"):
        kinds.get(name).settings({"nonsense": 1})


def test_a_misspelt_kind_is_told_what_was_meant() -> None:
    with pytest.raises(RegistryError, match="Did you mean `thumbs`"):
        kinds.get("thumb")


def _said(name: str, answer: Mapping[str, Any], group: Group, **settings: Any) -> tuple[Any, ...]:
    kind = kinds.get(name)
    chosen = kind.settings(settings)
    return kind.feedback(kind.check(answer, group, chosen), group, "ann", chosen)


def _refused(name: str, answer: Mapping[str, Any], group: Group, match: str, **settings: Any) -> None:
    kind = kinds.get(name)
    with pytest.raises(AnswerError, match=match):
        kind.check(answer, group, kind.settings(settings))


# ── pair ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pair_is_a_ranking_of_two_with_the_margin_of_its_strength() -> None:
    assert _said("pair", {"choice": "first"}, TWO) == (Ranking((1, 2), annotator_id="ann"),)
    assert _said("pair", {"choice": "second", "strength": 3}, TWO) == (Ranking((2, 1), margin=1.0, annotator_id="ann"),)
    assert _said("pair", {"choice": "first", "strength": 1}, TWO)[0].margin == pytest.approx(1 / 3)
    assert _said("pair", {"choice": "tie"}, TWO) == (Ranking((1, 1), annotator_id="ann"),)


def test_both_bad_is_a_tie_and_two_thumbs_down() -> None:
    assert _said("pair", {"choice": "both_bad"}, TWO) == (
        Ranking((1, 1), annotator_id="ann"),
        Labels((False, False), "ann"),
    )


def test_a_pair_refuses_what_the_project_does_not_offer() -> None:
    _refused("pair", {"choice": "tie"}, TWO, "does not offer `tie`", tie=False)
    _refused("pair", {"choice": "tie", "strength": 1}, TWO, "no strength")
    _refused("pair", {"choice": "first", "strength": 4}, TWO, "1 to 3")
    _refused("pair", {"choice": "first", "strength": 1}, TWO, "`strength` is 1", margins=[])
    with pytest.raises(AnswerError, match="margins rise"):
        kinds.get("pair").settings({"margins": [1.0, 0.5]})
    with pytest.raises(AnswerError, match="3 responses"):
        kinds.get("pair").check_group(THREE)


# ── ranking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ranks_are_kept_without_gaps() -> None:
    assert _said("ranking", {"ranks": [5, None, 2]}, THREE) == (Ranking((2, None, 1), annotator_id="ann"),)
    assert kinds.get("ranking").chosen({"ranks": [2, None, 1]}) == 2
    assert kinds.get("ranking").chosen({"ranks": [1, 1, 2]}) is None


def test_a_ranking_is_held_against_a_known_one_pair_by_pair() -> None:
    score = kinds.get("ranking").score_gold
    known = {"ranks": [1, 2, 3]}
    assert score({"ranks": [3, 2, 1]}, known) == 0.0
    assert score({"ranks": [1, 3, 2]}, known) == pytest.approx(2 / 3)
    assert score({"ranks": [1, 1, 2]}, known) == pytest.approx((0.5 + 1 + 1) / 3)
    assert score({"ranks": [1, 2, None]}, known) == pytest.approx(1 / 3)


def test_a_ranking_refuses_what_the_project_does_not_allow() -> None:
    _refused("ranking", {"ranks": [1, 1, 2]}, THREE, "no ties", ties=False)
    _refused("ranking", {"ranks": [1, 2, None]}, THREE, "unranked", unranked=False)
    _refused("ranking", {"ranks": [1, None, None]}, THREE, "fewer than two")
    _refused("ranking", {"ranks": [0, 1, 2]}, THREE, "1 is the best")
    _refused("ranking", {"ranks": [1, 2]}, THREE, "2 entries and the item 3 responses")


# ── thumbs, stars ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_thumbs_are_labels() -> None:
    assert _said("thumbs", {"labels": [True, None]}, TWO) == (Labels((True, None), "ann"),)
    assert kinds.get("thumbs").score_gold({"labels": [True, True]}, {"labels": [True, False]}) == 0.5
    _refused("thumbs", {"labels": [None, None]}, TWO, "no response has a thumb")


def test_stars_are_scores_on_the_aspects_that_were_rated() -> None:
    aspects = ["helpful", "true"]
    answer = {"scores": {"helpful": [4, 2]}}
    assert _said("stars", answer, TWO, aspects=aspects) == (Scores({"helpful": (4, 2)}, (1.0, 5.0), "ann"),)
    _refused("stars", {"scores": {"kind": [1, 1]}}, TWO, "no aspect `kind`", aspects=aspects)
    _refused("stars", {"scores": {"overall": [6, 1]}}, TWO, "1 to 5")
    _refused("stars", {"scores": {}}, TWO, "no star")


def test_a_neighbouring_star_is_half_right() -> None:
    score = kinds.get("stars").score_gold
    known = {"scores": {"overall": [4, None]}}
    assert [score({"scores": {"overall": [stars, 1]}}, known) for stars in (4, 5, 3, 2, None)] == [1, 0.5, 0.5, 0, 0]


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_steps_are_lines_where_the_response_has_no_cut_of_its_own() -> None:
    kind = kinds.get("steps")
    settings = kind.settings()
    answer = kind.check({"marks": [[1, -1], [None]]}, TWO, settings)
    assert answer["first_error"] == [1, None]
    (made,) = kind.groups(TWO, [("ann", answer)], settings)
    assert made.responses[0].steps == ("because", "so")
    assert made.feedback == (StepLabels(((1, -1), (None,)), "ann"),)


def test_a_first_error_that_is_not_the_first_bad_mark_is_refused() -> None:
    _refused("steps", {"marks": [[1, -1], [0]], "first_error": [0, None]}, TWO, "the first step marked bad is 1")
    _refused("steps", {"marks": [[1], [0]]}, TWO, "1 entries and the response 2 steps")
    _refused("steps", {"marks": [[2, 1], [0]]}, TWO, "1 good, 0 neutral, -1 bad")
    _refused("steps", {"marks": [[None, None], [None]]}, TWO, "no step is marked")


# ── critique, edit, red team ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_critique_is_words() -> None:
    assert _said("critique", {"texts": ["x", " "]}, TWO) == (Critique(("x", None), annotator_id="ann"),)
    _refused("critique", {"texts": ["", None]}, TWO, "no critique")
    _refused("critique", {"texts": ["short", None]}, TWO, "At least 10", least=10)


def test_an_edit_that_changes_nothing_is_none() -> None:
    said = _said("edit", {"edits": ["because\nso", "I do not know"], "texts": [None, "kinder"]}, TWO)
    assert said == (Critique((None, "kinder"), (None, Response.of("I do not know")), "ann"),)
    _refused("edit", {"edits": ["because\nso", None]}, TWO, "nothing is changed")


def test_an_attempt_becomes_a_group_of_its_own() -> None:
    kind = kinds.get("red_team")
    settings = kind.settings()
    said = [(who, kind.check({"harm": harm, "turns": TALK}, BRIEF, settings)) for who, harm in (("ann", 3), ("bob", 0))]
    made = kind.groups(BRIEF, said, settings)
    assert [each.prompt for each in made] == [Prompt.of("swear")] * 2
    assert made[0].responses == (Response((Message("assistant", "no"),)),)
    assert made[0].feedback == (Scores({ASPECT: (3.0,)}, (0.0, 4.0), "ann"),)
    _refused("red_team", {"harm": 5, "turns": TALK}, BRIEF, "`harm` is 5")
    _refused("red_team", {"harm": 0, "turns": TALK[:1]}, BRIEF, "do not alternate")

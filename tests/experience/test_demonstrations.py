from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from truing.batch import data_streams
from truing.chat import Chat
from truing.experience.demonstrations import corrected, corrections, faulty
from truing.experience.offline import trees
from truing.group import Critique, Feedback, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels
from truing.models.loading import load_tokenizer
from truing.tree import Tree, pack

A, B, C = (Response.of(text) for text in "abc")
BETTER = Response.of("better")


def _group(*said: Feedback) -> Group:
    return Group(Prompt.of("?"), (A, B, C), said)


def test_a_response_with_a_wrong_step_is_faulty_and_one_with_a_neutral_or_unjudged_step_is_not() -> None:
    assert faulty(_group(StepLabels(((1, -1), (1, 0), (1, None))))) == [True, False, False]


def test_one_annotator_who_finds_a_wrong_step_is_enough() -> None:
    assert faulty(_group(StepLabels(((1,), (1,), ())), StepLabels(((1,), (-1,), ())))) == [False, True, False]


def test_a_response_that_somebody_rewrote_is_faulty_and_one_that_was_left_as_it_is_is_not() -> None:
    said = Critique(("too short", "fine", None), (BETTER, B, None))
    assert faulty(_group(said)) == [True, False, False]
    assert corrections(_group(said)) == [[BETTER], [], []]


def test_words_without_a_correction_name_a_fault() -> None:
    assert faulty(_group(Critique(("rude", None, " ")))) == [True, False, False]
    assert faulty(_group(Critique(("rude", None, "wrong"), (BETTER,)))) == [True, False, True]


@pytest.mark.parametrize(
    "verdict", [Ranking((1, 2, 3)), Scores({"overall": (5.0, 1.0, 1.0)}), Labels((True, None, None))]
)
def test_words_beside_a_verdict_may_be_praise(verdict: Feedback) -> None:
    assert faulty(_group(verdict, Critique(("well said", None, None)))) == [False, False, False]
    assert faulty(_group(verdict, Critique(("well said", None, None), (BETTER,)))) == [True, False, False]


def test_corrections_stand_where_the_responses_were_that_they_correct() -> None:
    other = Response.of("another")
    said = (Critique((None,) * 3, (None, BETTER, None), "x"), Critique((None,) * 3, (None, other, C), "y"))
    group, worth = corrected(_group(*said), [True, False, False])
    assert group.responses == (A, BETTER, other, C)
    assert worth == [True, True, True, False]
    assert group.feedback == ()


def test_two_who_write_the_same_correction_give_one() -> None:
    said = (Critique((None,) * 3, (BETTER, None, None), "x"), Critique((None,) * 3, (BETTER, None, None), "y"))
    assert corrections(_group(*said)) == [[BETTER], [], []]


def test_a_group_without_critiques_has_no_corrections() -> None:
    assert corrections(_group()) == [[], [], []]
    assert faulty(_group(Labels((False, None, True)))) == [False, False, False], "thumbs are not this file's business"


# ---- what `sft` sees of it


@pytest.fixture
def chat(toy_folder: Path) -> Chat:
    return Chat(load_tokenizer(toy_folder))


def _imitated(group: Group, chat: Chat, *more: str) -> tuple[list[str], Tree]:
    """The texts that `sft` trains on in this group, beside objectives that read `more`."""
    (tree,) = trees([("file:1", group)], chat, {"logprobs", "demonstrations", *more})
    worth = data_streams([tree], pack([tree]))["demonstrations"].tolist()
    texts = [chat.decode(branch.tokens) for branch in tree.branches]
    return [text.strip() for text, good in zip(texts, worth, strict=True) if good], tree


def test_sft_imitates_the_correction_and_not_what_it_corrects(chat: Chat) -> None:
    said = Critique(("too short", None), (Response.of("the old dog ran"), None))
    group = Group(Prompt.of("the moon"), (Response.of("a red cat"), Response.of("it was bad")), (said,))
    texts, tree = _imitated(group, chat)
    assert texts == ["the old dog ran", "it was bad"]
    assert len(tree.branches) == 2


def test_sft_leaves_out_solutions_with_a_wrong_step_and_the_log_counts_groups_of_them_alone(chat: Chat) -> None:
    solutions = (Response.of_steps(["the cat", "sat"]), Response.of_steps(["the dog", "ran"]))
    group = Group(Prompt.of("x"), solutions, (StepLabels(((1, -1), (1, None))),))
    texts, _ = _imitated(group, chat)
    assert texts == ["the dog\nran"]
    counts: Counter[str] = Counter()
    alone = Group(Prompt.of("x"), solutions[:1], (StepLabels(((1, -1),)),))
    assert trees([("file:1", alone)], chat, {"logprobs", "demonstrations"}, counts) == []
    assert counts == {"groups with nothing to imitate": 1}


def test_beside_a_preference_the_pair_stays_and_a_corrected_chosen_response_is_not_imitated(chat: Chat) -> None:
    said = (Ranking.pair(), Critique((None, None), (Response.of("the old dog ran"), None)))
    group = Group(Prompt.of("the moon"), (Response.of("a red cat"), Response.of("it was bad")), said)
    texts, tree = _imitated(group, chat, "chosen", "rejected")
    assert texts == []
    assert tree.feedback["pairs"] == [(0, 1)]
    assert len(tree.branches) == 2
    texts, _ = _imitated(group, chat)
    assert texts == ["the old dog ran"], "alone, `sft` takes the correction"

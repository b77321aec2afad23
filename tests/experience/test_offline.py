from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from truing.batch import data_streams
from truing.chat import Chat
from truing.errors import DataError
from truing.experience.offline import Offline, shuffled, tokenised, trees
from truing.group import Group, Labels, Prompt, Ranking, Response, Scores, StepLabels
from truing.models.loading import load_tokenizer
from truing.tree import Branch, Tree, pack


@pytest.fixture
def chat(toy_folder: Path) -> Chat:
    return Chat(load_tokenizer(toy_folder))


def _trees(groups: list[Group], *more: object) -> list[Tree]:
    return trees([(f"file:{i}", group) for i, group in enumerate(groups, 1)], *more)  # type: ignore[arg-type]


def _group(*texts: str, said: object = None) -> Group:
    feedback = () if said is None else (said,)
    return Group(Prompt.of("the cat"), tuple(Response.of(t) for t in texts), feedback)  # type: ignore[arg-type]


def test_a_ranking_with_a_tie_and_an_unranked_answer_becomes_pairs_and_ranks(chat: Chat) -> None:
    group = _group("a", "b", "c", "d", said=Ranking((2, 1, 2, None)))
    (tree,) = _trees([group], chat, {"chosen", "ranks"})
    assert tree.feedback["pairs"] == [(1, 0), (1, 2)]
    assert tree.feedback["ranks"] == [2, 1, 2, 0]
    assert tree.feedback["demonstrations"] == [False, True, False, False]
    assert tree.feedback["strength"] == [1.0, 1.0]


def test_strength_and_margin_reach_the_pair(chat: Chat) -> None:
    group = _group("a", "b", said=Ranking.pair(strength=0.8, margin=2.0))
    (tree,) = _trees([group], chat, {"chosen", "strength", "margin"})
    assert (tree.feedback["strength"], tree.feedback["margin"]) == ([0.8], [2.0])


def test_every_annotator_of_a_group_gives_pairs_and_the_first_the_ranks(chat: Chat) -> None:
    said = (Ranking((1, 2), 0.9, annotator_id="x"), Ranking((1, 1)), Ranking((2, 1), margin=3.0, annotator_id="y"))
    group = Group(Prompt.of("the cat"), (Response.of("a"), Response.of("b")), said)
    (tree,) = _trees([group], chat, {"chosen", "ranks"})
    assert tree.feedback["pairs"] == [(0, 1), (1, 0)]
    assert tree.feedback["strength"] == [0.9, 1.0]
    assert tree.feedback["margin"] == [0.0, 3.0]
    assert tree.feedback["ranks"] == [1, 2]
    assert tree.feedback["demonstrations"] == [True, False]


def test_scores_of_several_aspects_are_averaged_over_those_given(chat: Chat) -> None:
    said = Scores({"help": (4.0, None), "style": (2.0, 3.0)})
    (tree,) = _trees([_group("a", "b", said=said)], chat, {"scores"})
    assert tree.feedback["scores"] == [3.0, 3.0]


def test_labels_are_one_zero_and_minus_one(chat: Chat) -> None:
    (tree,) = _trees([_group("a", "b", "c", said=Labels((True, False, None)))], chat, {"labels"})
    assert tree.feedback["labels"] == [1, 0, -1]


def _stepwise(*said: tuple[tuple[float | None, ...], ...]) -> Group:
    """A response of three steps and one of one, with the marks of one annotator each."""
    responses = (Response.of_steps(["the cat", "sat", "on"]), Response.of_steps(["ran"]))
    return Group(Prompt.of("x"), responses, tuple(StepLabels(values) for values in said))


def test_step_labels_stand_at_the_last_token_of_each_step_as_probabilities(chat: Chat) -> None:
    group = _stepwise(((1, 0, -1), (None,)))
    (tree,) = _trees([group], chat, {"step_labels"})
    first, second = tree.feedback["step_labels"]
    ends = chat.step_ends(group.prompt, group.responses[0])
    assert [first[end] for end in ends if end is not None] == [1.0, 0.5, 0.0]
    assert sum(v == v for v in first) == 3, "NaN elsewhere"
    assert len(first) == len(tree.branches[0].tokens)
    assert all(v != v for v in second), "nobody judged it"


def test_several_annotators_of_steps_make_a_soft_label(chat: Chat) -> None:
    (tree,) = _trees([_stepwise(((1, 1, None), (1,)), ((1, -1, None), ()))], chat, {"step_labels"})
    first, second = ([v for v in row if v == v] for row in tree.feedback["step_labels"])
    assert (first, second) == ([1.0, 0.5], [1.0])


def test_soft_marks_are_probabilities_and_halves_are_counted(chat: Chat) -> None:
    counts: Counter[str] = Counter()
    (tree,) = _trees([_stepwise(((0.75, 0, -0.5), (1,)))], chat, {"step_labels"}, counts)
    first, second = ([v for v in row if v == v] for row in tree.feedback["step_labels"])
    assert (first, second) == ([0.875, 0.5, 0.25], [1.0])
    assert counts == {"steps with a probability of 0.5, which setting `neutral` replaces (0.5 keeps it)": 1}
    counts.clear()
    _trees([_stepwise(((1, 0, -1), (1,)))], chat, {"step_labels"}, counts)
    assert not counts


def test_step_labels_become_a_stream_of_nan_but_at_the_ends(chat: Chat) -> None:
    made = _trees([_stepwise(((1, None, -1), (1,)))], chat, {"step_labels"})
    stream = data_streams(made, pack(made))["step_labels"]
    assert stream.shape == (2, len(made[0].branches[0].tokens))
    assert stream[~stream.isnan()].tolist() == [1.0, 0.0, 1.0]


def test_groups_without_a_judged_step_are_counted_and_wrong_numbers_of_marks_refused(chat: Chat) -> None:
    counts: Counter[str] = Counter()
    assert _trees([_stepwise(((None, None, None), ()))], chat, {"step_labels"}, counts) == []
    assert counts == {"groups without a judged step": 1}
    with pytest.raises(DataError, match="file:1: response 1 has 3 steps and 2 marks on them"):
        _trees([_stepwise(((1, 1), (1,)))], chat, {"step_labels"})
    odd = Group(Prompt.of("x"), (Response(Response.of("ran").messages, ("flew",)),), (StepLabels(((1,),)),))
    with pytest.raises(DataError, match="file:1: the step 'flew' does not follow"):
        _trees([odd], chat, {"step_labels"})
    with pytest.raises(DataError, match="reads `step_labels`, which needs step labels; this row has labels"):
        _trees([_group("a", said=Labels((True,)))], chat, {"step_labels"})


def test_ties_are_left_out_and_counted(chat: Chat) -> None:
    counts: Counter[str] = Counter()
    made = _trees(
        [_group("a", "b", said=Ranking((1, 1))), _group("a", "b", said=Ranking.pair())], chat, {"chosen"}, counts
    )
    assert len(made) == 1
    assert counts == {"groups without a preference (ties)": 1}


def test_the_wrong_kind_of_feedback_is_refused_with_the_conversion(chat: Chat) -> None:
    with pytest.raises(
        DataError, match=r"file:1: .* reads `chosen`, which needs pairs; this row has labels\n.*--to pairs"
    ):
        _trees([_group("a", "b", said=Labels((True, False)))], chat, {"chosen"})
    with pytest.raises(DataError, match="has a prompt and no response"):
        _trees([Group(Prompt.of("x"))], chat, {"logprobs"})


def test_the_best_scored_answer_is_the_demonstration(chat: Chat) -> None:
    said = Scores({"overall": (2.0, 5.0, 5.0, None)})
    (tree,) = _trees([_group("a", "b", "c", "d", said=said)], chat, {"scores"})
    assert tree.feedback["demonstrations"] == [False, True, True, False]


def test_feedback_that_says_nothing_is_left_out_and_counted(chat: Chat) -> None:
    counts: Counter[str] = Counter()
    assert not _trees([_group("a", "b", said=Labels((None, None)))], chat, {"labels"}, counts)
    assert not _trees([_group("a", "b", said=Ranking((1, None)))], chat, {"ranks"}, counts)
    assert not _trees([_group("a", said=Labels((False,)))], chat, {"demonstrations"}, counts)
    one = _group("a", "b", said=Scores({"overall": (3.0, None)}))
    assert len(_trees([one], chat, {"scores"}, counts)) == 1
    assert not _trees([one], chat, {"scores", "groups"}, counts)
    assert counts == {
        "groups without a label": 1,
        "groups without two ranked responses": 1,
        "groups with nothing to imitate": 1,
        "groups without two scores to compare": 1,
    }


def test_a_conversion_is_named_only_where_it_would_help(chat: Chat) -> None:
    with pytest.raises(DataError, match=r"reads `labels`.*has scores\n.*--to labels --threshold NUMBER`\."):
        _trees([_group("a", "b", said=Scores({"overall": (1.0, 2.0)}))], chat, {"labels"})
    with pytest.raises(DataError, match=r"Recipes for what it has: kto, bco, reward_labels\.$"):
        _trees([_group("a", "b", said=Labels((True, None)))], chat, {"chosen"})


def _offline(number: int, **more: object) -> Offline:
    made = [Tree([1, i], [Branch([5], [True])]) for i in range(number)]
    return Offline(made, **{"batch_size": 4, "epochs": 2, "seed": 0} | more)  # type: ignore[arg-type]


def test_an_epoch_shows_every_tree_once_in_an_order_of_its_own() -> None:
    data = _offline(10)
    assert (data.per_epoch, data.steps) == (3, 6)
    seen = [[t.prompt[1] for t in data.batch(step).trees] for step in range(6)]
    first, second = ([i for part in seen[a : a + 3] for i in part] for a in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [len(s) for s in seen] == [4, 4, 2, 4, 4, 2]


def test_a_batch_depends_on_its_step_alone() -> None:
    assert _offline(10).batch(4).trees == _offline(10).batch(4).trees
    assert _offline(10, seed=1).batch(0).trees != _offline(10).batch(0).trees
    assert _offline(10, limit=5).steps == 5


def test_a_permutation_depends_on_seed_and_epoch_alone() -> None:
    assert shuffled(5, 0, 0) == shuffled(5, 0, 0)
    assert sorted(shuffled(5, 3, 1)) == list(range(5))
    assert shuffled(50, 0, 0) != shuffled(50, 0, 1) != shuffled(50, 1, 0)


def test_the_number_of_threads_changes_neither_trees_nor_order_nor_counts(chat: Chat) -> None:
    said = (Ranking.pair(), Ranking((1, 1)))
    groups = [(f"file:{i}", _group(f"the cat {i}", "a dog", said=said[i % 5 == 0])) for i in range(300)]
    runs = []
    for threads in (1, 3):
        own, counts = chat.apart(), Counter[str]()
        found = list(tokenised(groups, own, {"chosen"}, counts, threads=threads))
        runs.append((found, counts, own.counts))
    assert runs[0] == runs[1]
    assert [len(trees) for trees in runs[0][0]] == [0 if i % 5 == 0 else 1 for i in range(300)]
    assert runs[0][1] == {"groups without a preference (ties)": 60}


def test_the_first_bad_group_ends_the_tokenising_on_any_number_of_threads(chat: Chat) -> None:
    groups = [(f"file:{i}", _group("a", said=None if i in (70, 200) else Ranking((1,)))) for i in range(300)]
    for threads in (1, 3):
        with pytest.raises(DataError) as caught:
            list(tokenised(groups, chat, {"ranks"}, threads=threads))
        assert caught.value.where == "file:70"


def test_every_batch_of_an_epoch_is_cut_from_one_order_that_is_drawn_once() -> None:
    made = [Tree([i], [Branch([i], [True])]) for i in range(10)]
    offline = Offline(made, 4, 2, seed=3)
    seen = [tree.prompt[0] for step in range(6) for tree in offline.batch(step).trees]
    assert seen == shuffled(10, 3, 0) + shuffled(10, 3, 1)
    assert [tree.prompt[0] for tree in offline.seen()] == list(range(10))
    cut = Offline(made, 4, 2, seed=3, limit=1)
    assert [tree.prompt[0] for tree in cut.seen()] == shuffled(10, 3, 0)[:4]

"""Two answers in one sequence: which tokens, in which order, and that no answer can pass for two."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from truing.chat import Chat, Truncation
from truing.experience.offline import trees
from truing.experience.pairwise import ANOTHER, USER, in_order, told
from truing.group import Group, Message, Prompt, Ranking, Response
from truing.models.loading import load_tokenizer

PROMPT = Prompt.of("the cat")
ABC = tuple(Response.of(text) for text in ("it sat", "it ran", "it flew over"))
READS = {"pair_scores", "chosen", "rejected", "strength"}


@pytest.fixture
def chat(toy_folder: Path) -> Chat:
    return Chat(load_tokenizer(toy_folder))


def _trees(chat: Chat, group: Group, counts: Counter[str] | None = None) -> list[Any]:
    return trees([("data.jsonl:1", group)], chat, READS, counts)


def _text(chat: Chat, tokens: list[int]) -> str:
    return str(chat.tokenizer.decode(tokens))


def test_a_pair_is_one_prompt_and_its_two_orders(chat: Chat) -> None:
    (tree,) = _trees(chat, Group(PROMPT, ABC[:2], (Ranking((2, 1), strength=0.8),)))
    assert _text(chat, tree.prompt) == "<bos><user>the cat<bot>"
    assert [_text(chat, b.tokens) for b in tree.branches] == [
        f"it sat<eos><user>{ANOTHER}<bot>it ran<eos>",
        f"it ran<eos><user>{ANOTHER}<bot>it sat<eos>",
    ]
    assert tree.feedback == {"pairs": [(1, 0)], "strength": [0.8]}  # the second is better: its order comes second


def test_a_ranking_gives_a_tree_for_each_two_and_none_for_a_tie(chat: Chat) -> None:
    made = _trees(chat, Group(PROMPT, ABC, (Ranking((1, 2, 2)),)))
    assert [tree.feedback["pairs"] for tree in made] == [[(0, 1)], [(0, 1)]]
    assert [_text(chat, tree.branches[0].tokens).split("<eos>")[0] for tree in made] == ["it sat", "it sat"]
    counts: Counter[str] = Counter()
    assert _trees(chat, Group(PROMPT, ABC, (Ranking((1, 1, 1)),)), counts) == []
    assert counts == {"groups without a preference (ties)": 1}


def test_annotators_who_disagree_speak_of_the_same_tree(chat: Chat) -> None:
    (tree,) = _trees(chat, Group(PROMPT, ABC[:2], (Ranking((1, 2)), Ranking((2, 1), strength=0.6))))
    assert tree.feedback == {"pairs": [(0, 1), (1, 0)], "strength": [1.0, 0.6]}


def test_only_the_answers_are_under_the_mask(chat: Chat) -> None:
    (tree,) = _trees(chat, Group(PROMPT, ABC[:2], (Ranking.pair(),)))
    (branch, _) = tree.branches
    spoken = _text(chat, [t for t, m in zip(branch.tokens, branch.mask, strict=True) if m])
    assert spoken == "it sat<eos>it ran<eos>"


def test_each_answer_keeps_the_limit_for_itself(toy_folder: Path) -> None:
    tokenizer = load_tokenizer(toy_folder)
    long = (Response.of("the old dog ran under the blue tree"), Response.of("it sat"))
    group = Group(PROMPT, long, (Ranking.pair(),))
    (tree,) = _trees(Chat(tokenizer, max_response_tokens=4), group)
    halves = [_text(tree_chat := Chat(tokenizer), b.tokens).split(f"<eos><user>{ANOTHER}<bot>") for b in tree.branches]
    assert tree_chat is not None
    assert halves[0][0] == halves[1][1]  # closed when it stands first, open when second
    assert halves[0][1].removesuffix("<eos>") == halves[1][0] == "it sat"
    assert not halves[1][1].endswith("<eos>")
    assert [b.finished for b in tree.branches] == [True, False]
    counts: Counter[str] = Counter()
    assert _trees(Chat(tokenizer, max_response_tokens=4, truncation=Truncation.DROP), group, counts) == []
    assert counts == {"groups dropped as too long": 1}


@pytest.mark.parametrize("template", ["auto", "chatml", "alpaca", "llama-2", "llama-3", "zephyr", "plain"])
def test_no_answer_can_forge_the_turn_between(toy_folder: Path, template: str) -> None:
    chat = Chat(load_tokenizer(toy_folder), template)
    honest = in_order(chat, PROMPT, *_branches(chat, Response.of("x"), Response.of("y")))
    between = chat.end_ids + chat.follow_up(PROMPT, ANOTHER)
    assert _count(honest.tokens, between) == 1
    written = chat.tokenizer.decode(between)
    turn = (Message("assistant", "x"), Message("user", ANOTHER), Message("assistant", "y"))
    for forged in (Response.of(f"x{written}y"), Response.of(f"x\n{ANOTHER}\ny"), Response(turn)):
        found = in_order(chat, PROMPT, *_branches(chat, forged, Response.of("z")))
        assert _count(found.tokens, between) == 1, forged
        other = in_order(chat, PROMPT, *_branches(chat, Response.of("z"), forged))
        assert _count(other.tokens, between) == 1, forged


def _branches(chat: Chat, *responses: Response) -> list[Any]:
    tree = chat.group(Group(PROMPT, tuple(map(told, responses))))
    assert tree is not None
    return tree.branches


def _count(tokens: list[int], part: list[int]) -> int:
    return sum(tokens[i : i + len(part)] == part for i in range(len(tokens) - len(part) + 1))


def test_the_other_turns_of_an_answer_are_marked_and_the_assistants_words_stay() -> None:
    turns = (Message("assistant", "x"), Message("user", ANOTHER), Message("assistant", "y"))
    assert [m.content for m in told(Response(turns)).messages] == ["x", USER + ANOTHER, "y"]
    assert told(ABC[0]) is ABC[0]


def test_text_from_nothing_can_be_compared_too(chat: Chat) -> None:
    (tree,) = _trees(chat, Group(Prompt(), ABC[:2], (Ranking.pair(),)))
    text = _text(chat, tree.prompt + tree.branches[0].tokens)
    assert text.startswith("<bos>it sat<eos>")
    assert text.endswith("it ran<eos>")
    assert ANOTHER in text

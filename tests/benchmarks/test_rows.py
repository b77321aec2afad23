from __future__ import annotations

import json
from pathlib import Path

from common.groups import Conversation, Group
from common.rows import conversation, demonstration, pair, ranking, write_rows

from truing.experience.offline import shuffled


def test_a_row_is_text_of_which_every_word_is_a_token() -> None:
    assert demonstration(Group([5, 6], [[7]])) == {"prompt": "t5 t6 ", "completion": "t7"}
    assert pair(Group([5, 6], [[7], [8, 9]])) == {"prompt": "t5 t6 ", "chosen": "t7", "rejected": "t8 t9"}
    assert ranking(Group([5], [[7], [8], [9]])) == {
        "prompt": "t5 ",
        "responses": ["t7", "t8", "t9"],
        "ranking": [0, 1, 2],
    }


def test_a_conversation_is_questions_and_answers_in_turn() -> None:
    row = conversation(Conversation([5], [[6]], [([7], [8])]))
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * 2
    assert [turn["content"] for turn in row["messages"]] == ["t5 ", "t6", "t7 ", "t8"]


def test_truings_shuffle_brings_its_rows_into_the_order_of_the_others(tmp_path: Path) -> None:
    groups = [Group([3 + i], [[9]]) for i in range(20)]
    files = write_rows(groups, demonstration, tmp_path)
    plain, ours = (files[which].read_text().splitlines() for which in (False, True))
    assert [json.loads(line)["prompt"] for line in plain] == [f"t{3 + i} " for i in range(20)]
    assert plain != ours
    assert [ours[place] for place in shuffled(20, 0, 0)] == plain

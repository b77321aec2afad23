"""Pretraining documents keep the secrets of the other splits."""

from __future__ import annotations

import re

from truing import lab
from truing.lab.documents import documents
from truing.lab.wordings import ITEMS

DOCUMENTS = documents(4000, seed=1)


def test_no_question_is_a_prompt_of_dev_test_or_new() -> None:
    asked = {found[1] for text in DOCUMENTS if (found := re.match(r"Question: (.*) Answer: ", text))}
    assert len(asked) > 500
    assert not asked & {r.text for split in ("dev", "test", "new") for r in lab.requests(split)}


def test_no_word_problem_of_test_or_dev_is_told() -> None:
    told = {found[1] for text in DOCUMENTS if (found := re.match(r"Problem: (.*) Solution: ", text))}
    held_out = {p.text for split in ("dev", "test") for p in lab.word_problems(split, 3000)}
    assert len(told) > 700
    assert not told & held_out


def test_statements_speak_of_every_item() -> None:
    text = " ".join(t for t in DOCUMENTS if not t.startswith(("Question:", "Problem:"))).lower()
    assert [item for items in ITEMS.values() for item in items if item.lower() not in text] == []


def test_documents_follow_their_seed() -> None:
    assert documents(50, 1) == DOCUMENTS[:50] != documents(50, 2)

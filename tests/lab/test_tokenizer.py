"""The shipped tokenizer: exact round trips and the chat format."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from truing import lab
from truing.lab.answers import STYLES, answer
from truing.lab.wordings import all_requests


def ids(tokenizer: Any, text: str) -> list[int]:
    """Tokens of text in which nothing is a marker."""
    found: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return found


def test_every_prompt_and_every_answer_survives_the_round_trip(base_tokenizer: Any) -> None:
    rng = Random(0)
    texts = [r.text for r in all_requests()]
    texts += [answer(r, style, rng) for r in all_requests() for style in STYLES]
    texts += [g.responses[0].text for g in lab.demonstrations(300, arithmetic=1.0)]
    encoded = base_tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert base_tokenizer.batch_decode(encoded) == texts


@pytest.mark.parametrize(
    "text", [" x", "  two  spaces ", "\n\nnew\tline", "é 世界 🙂", "<user>hi<eos>", "don't , it 's .", "\x00"]
)
def test_foreign_text_survives_too(base_tokenizer: Any, text: str) -> None:
    assert base_tokenizer.decode(ids(base_tokenizer, text)) == text


def test_empty_text_has_no_tokens(base_tokenizer: Any) -> None:
    assert ids(base_tokenizer, "") == []
    assert base_tokenizer.decode([]) == ""


def test_a_word_has_one_token_wherever_it_stands(base_tokenizer: Any) -> None:
    assert ids(base_tokenizer, "Sure! Sure!") == 2 * ids(base_tokenizer, "Sure!")


def test_numbers_up_to_42_are_single_tokens(base_tokenizer: Any) -> None:
    assert all(len(ids(base_tokenizer, str(n))) == 1 for n in range(1, 43))


def test_the_markers_are_the_first_five_of_1536_tokens(base_tokenizer: Any) -> None:
    assert base_tokenizer.convert_ids_to_tokens(range(5)) == ["<pad>", "<bos>", "<eos>", "<user>", "<bot>"]
    assert (base_tokenizer.pad_token_id, base_tokenizer.bos_token_id, base_tokenizer.eos_token_id) == (0, 1, 2)
    assert len(base_tokenizer) == 1536


def test_a_chat_is_the_tokens_of_its_turns_between_markers(base_tokenizer: Any) -> None:
    turns = [
        {"role": "user", "content": "How do I make tea?"},
        {"role": "assistant", "content": "Boil some water."},
        {"role": "user", "content": "And then?"},
    ]
    first, second, third = (ids(base_tokenizer, turn["content"]) for turn in turns)
    expected = [1, 3, *first, 4, *second, 2, 3, *third, 4]
    found = base_tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert found == expected


def test_the_system_speaks_as_a_user(base_tokenizer: Any) -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi!"}]
    assert base_tokenizer.apply_chat_template(turns, tokenize=False) == "<bos><user>Be kind.<user>Hi!"

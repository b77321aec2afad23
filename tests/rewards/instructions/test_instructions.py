"""The verifiable instructions of IFEval: for each a response that keeps to it and one that does not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from truing.errors import DataError
from truing.rewards.instructions import CHECKS, follows, follows_all, instruction_following, variants

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["mom", "Mother"]}, "MOM is a mother.", "Mom is nice."),
    ("keywords:existence", {"keywords": ["c++ (98)"]}, "I like C++ (98).", "I like c."),
    ("keywords:frequency", {"keyword": "war", "frequency": 2, "relation": "at least"}, "War and warfare", "one war"),
    ("keywords:frequency", {"keyword": "war", "frequency": 2, "relation": "less than"}, "one war", "war, war"),
    ("keywords:forbidden_words", {"forbidden_words": ["bad", "rob."]}, "A badge, robust.", "That is Bad!"),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": "at least"}, "Quq", "q"),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 1, "let_relation": "less than"}, "no", "no!"),
    ("language:response_language", {"language": "de"}, "Das ist nicht der Hund, den ich meine", "This is not the dog."),
    ("language:response_language", {"language": "mr"},
     "हा आमचा कुत्रा आहे आणि तो मोठा आहे.", "यह हमारा कुत्ता है और वह बड़ा है।"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "Yes. No!", "Yes, no."),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "Mr. X.", "He left. Why"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***\n", "a\n***\n\n***\nb"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "one, two", "don't go"),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Yes"},
     "Well.\n\n\"Yes,\" he said.", "Yes.\n\nWell."),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "yes"},
     "yes it is", "yes\n\nit is"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "Dear [name], [greeting]", "Dear [name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\n\nP. S. Hi", "Bye. PS Hi"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S. Hi", "Bye.\nP.S. Hi"),
    ("detectable_content:postscript", {"postscript_marker": "By the way (again)"}, "by the way (again), hi", "Hi"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n  - b\n**c**", "* a\n* b\n* c"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "Maybe."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*one* and **two**", "*one* and ** **"),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     "Section 1\na\nSection 2\nb", "Section 1\na\nSection two\nb"),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', '{"a": [1]} is it'),
    ("detectable_format:title", {}, "<<Joy>>\nText", "<< >>\n<Joy>"),
    ("combination:two_responses", {}, "One.\n******\nTwo.", "One.\n******\nOne."),
    ("combination:two_responses", {}, "One.******Two.******", "One.******Two.******Three."),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Write a poem."}, "write a poem. Roses.", "Sure. Write a poem."),
    ("startend:end_checker", {"end_phrase": "Any questions?"}, 'Done. "any questions?"', "Any questions? None."),
    ("startend:quotation", {}, ' "All of it." ', '"Some" of it.'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     "WELL-KNOWN NASA", "NASA and Esa"),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "less than"}, "I go", "I, UN"),
    ("change_case:english_capital", {}, "THIS IS IT, ALL OF IT.", "This IS IT."),
    ("change_case:english_capital", {}, "HELLO", "DAS IST NICHT DER HUND, DEN ICH MEINE."),
    ("change_case:english_lowercase", {}, "this is it, all 3 of it.", "This is it."),
    ("change_case:english_lowercase", {}, "hello", "все люди рождаются свободными и равными"),
    ("punctuation:no_comma", {}, "One and two.", "One, two."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "kept", "broken"), CASES)
def test_an_instruction_is_kept_or_broken(name: str, settings: dict[str, Any], kept: str, broken: str) -> None:
    assert follows(kept, name, settings)
    assert not follows(broken, name, settings)
    assert not follows("  \n", name, settings), "an empty response keeps to nothing"


def test_all_25_are_there_and_each_was_tried() -> None:
    assert len(CHECKS) == 25
    assert {name for name, *_ in CASES} == set(CHECKS)


@pytest.mark.parametrize("text", ["[" * 200_000, "[1," * 60_000, "9" * 10_000])
def test_json_that_is_too_deep_or_too_long_is_none(text: str) -> None:
    assert not follows(text, "detectable_format:json_format", {})


def test_loose_takes_the_best_of_eight_readings() -> None:
    text = "Sure:\n*mine* it\nBye"
    assert variants(text) == [
        text, "*mine* it\nBye", "Sure:\n*mine* it", "*mine* it",
        "Sure:\nmine it\nBye", "mine it\nBye", "Sure:\nmine it", "mine it",
    ]  # fmt: skip
    end = {"end_phrase": "*mine* it"}
    assert follows_all(text, ["startend:end_checker"], [end]) == [False]
    assert follows_all(text, ["startend:end_checker"], [end], loose=True) == [True]
    # All of one line is its first and its last: without it there is nothing, and nothing keeps to nothing.
    assert follows_all("a, b", ["punctuation:no_comma"], [{}], loose=True) == [False]


ROW = (["punctuation:no_comma", "startend:quotation", "detectable_format:title"], [{}, {}, {}])


def of(text: str, row: Any = ROW, **settings: Any) -> float | None:
    return instruction_following([""], [text], instruction_id_list=[row[0]], kwargs=[row[1]], **settings)[0]


def test_the_reward_is_the_share_or_all_of_them() -> None:
    text = '"One and <two>"'
    assert of(text) == pytest.approx(2 / 3)
    assert of(text, level="prompt") == 0
    assert of('"<<One>> and two"', level="prompt") == 1


def test_strict_and_loose() -> None:
    text = 'Here you are, then:\n"<<One>> and two"'
    assert of(text) == pytest.approx(1 / 3)
    assert of(text, mode="loose") == 1


def test_a_thought_is_not_read_unless_asked() -> None:
    text = '<think>Well, a title.</think>"<<One>>"'
    assert of(text) == 1
    assert of(text, thought=True) == pytest.approx(1 / 3)


def test_a_row_without_instructions_has_no_reward() -> None:
    assert of("a", (None, None)) is None
    assert of("a", ([], [])) is None


def test_settings_of_other_instructions_are_null_or_ignored_as_in_tables() -> None:
    kwargs = [{"num_words": 1.0, "relation": "at least", "keyword": None, "end_phrase": "x"}]
    assert of("one two", (["length_constraints:number_words"], kwargs)) == 1
    assert of("a", (["punctuation:no_comma"], None)) == 1
    assert of("a", (["punctuation:no_comma"], [None])) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((["punctuation:no_coma"], [{}]), "there is no instruction 'punctuation:no_coma'"),
        ((["length_constraints:number_words"], [{"num_words": 5}]), "number_words: `relation`: "),
        ((["length_constraints:number_words"], [{"num_words": -5, "relation": "at least"}]), "`num_words`"),
        ((["length_constraints:number_words"], [{"num_words": 5, "relation": "about"}]), "`relation`"),
        ((["language:response_language"], [{"language": "xx"}]), "not a language that can be told"),
        ((["keywords:existence"], [{"keywords": []}]), "`keywords`"),
        ((["punctuation:no_comma"], [{}, {}]), "for 1 instructions"),
        ((["punctuation:no_comma"], "{}"), "column `kwargs`"),
    ],
)
def test_a_row_that_means_nothing_is_refused(row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        of("a", row)


EVERY = {
    "keywords": ["a"], "keyword": "a", "frequency": 1, "relation": "at least", "forbidden_words": ["x"], "letter": "a",
    "let_frequency": 1, "let_relation": "at least", "language": "en", "num_sentences": 1, "num_paragraphs": 1,
    "num_words": 1, "nth_paragraph": 1, "first_word": "a", "num_placeholders": 1, "postscript_marker": "P.P.S",
    "num_bullets": 1, "num_highlights": 1, "section_spliter": "SECTION", "num_sections": 1, "prompt_to_repeat": "a",
    "end_phrase": "a", "capital_frequency": 1, "capital_relation": "at least",
}  # fmt: skip
HOSTILE = ["[", "*", "**", "\n", "<<", ">>", ". ", "a.", "SECTION ", "p. ", "-", '"', " ", "***\n", '{"a":', "A-", "!?",
           "e.g.", "mr. ", "_", "a, "]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hundred_thousand_characters_are_read_in_no_time(text: str) -> None:
    long = text * (100_000 // len(text))
    for name in CHECKS:
        start = time.process_time()
        follows(long, name, EVERY)
        assert time.process_time() - start < 1, name

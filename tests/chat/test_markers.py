"""Which text marks turns, and how it is broken."""

from __future__ import annotations

import re

import pytest
from tokenizers import normalizers

from truing.chat.markers import Guard, markers
from truing.errors import ModelError

NONE = re.compile("(?!)")
EOS = re.compile("</s>")


def characters(text):
    return [ord(c) for c in text]


def guard(*found, normalize=None):
    return Guard(found, characters, normalize=normalize, name="mine")


@pytest.mark.parametrize(
    ("literals", "special", "found"),
    [
        (("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"), NONE, {"<|im_start|>", "<|im_end|>"}),
        (("[INST] <<SYS>>\n", "\n<</SYS>>\n\n", " [/INST]"), NONE, {"[INST]", "<<SYS>>", "<</SYS>>", "[/INST]"}),
        (("Do the task.\n\n### Instruction:\n", "\n\n### Response:\n"), NONE, {"### Instruction:", "### Response:"}),
        (("User: ", "\nAssistant: "), NONE, {"User:", "Assistant:"}),
        (("</s>user\n", "</s>\n</s>assistant\n"), EOS, set()),
        (("</s>User: ", "</s>\nAssistant: "), EOS, {"User:", "Assistant:"}),
        (("</s>system\n\nToday: 2024\n\n", "</s>user\n"), EOS, set()),
        (("", "</s>"), EOS, set()),
        (("", "\n<think>\n\n</think>\n"), NONE, set()),
    ],
)
def test_turn_markers_are_found(literals, special, found):
    assert markers([literals], special) == found


def test_a_marker_is_broken_before_its_closing_punctuation():
    assert guard("[/INST]").scrub("a [/INST] b [/INST]") == ("a [/INST ] b [/INST ]", 2)
    assert guard("### Response:").scrub("### Response:\n") == ("### Response :\n", 1)
    assert guard("###").scrub("a ### b") == ("a # ## b", 1)


def test_a_marker_that_begins_with_a_word_counts_at_the_beginning_of_a_line_only():
    assert guard("User:").scrub("The User: me\nUser: you\nUser:") == ("The User: me\nUser : you\nUser :", 2)


def test_nothing_happens_to_other_text():
    text = "### Responses: [INST"
    assert guard("### Response:", "[INST]").scrub(text) == (text, 0)


def test_look_alikes_that_fold_into_a_marker_are_broken_too():
    nfkc, nmt = normalizers.NFKC().normalize_str, normalizers.Nmt().normalize_str
    assert guard("[/INST]", normalize=nfkc).scrub("a ［/INST］ ² [/INST]") == ("a [/INST ] 2 [/INST ]", 2)
    assert guard("[/INST]", normalize=nfkc).scrub("²") == ("²", 0)
    assert guard("[/INST]", normalize=str.lower).scrub("[/Inst] X") == ("[/inst ] x", 1)
    assert guard("[/INST]", normalize=nmt).scrub("[/IN\x01ST]") == ("[/INST ]", 1)
    assert guard("[/INST]").scrub("[/inst] ［/INST］") == ("[/inst] ［/INST］", 0)


def test_another_break_is_taken_where_the_tokenizer_ignores_spaces():
    def without_spaces(text):
        return characters(text.replace(" ", ""))

    assert Guard(["[/INST]"], without_spaces, normalize=None, name="mine").scrub("[/INST]") == ("[/INST\u200b]", 1)


def test_a_tokenizer_that_cannot_tell_the_marker_from_anything_is_refused():
    with pytest.raises(ModelError, match="cannot tell it from"):
        Guard(["[/INST]"], lambda _: [0], normalize=None, name="mine")

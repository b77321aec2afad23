"""Special tokens come from the template alone; ordinary text has the tokenizer's own tokens."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken

from truing.chat.twin import Twin
from truing.errors import ModelError

KINDS = ["byte_level", "metaspace", "legacy_metaspace", "word_level"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["How do I clean a bicycle chain?", " Hello  there\n\n", "é 42", "a"])
def test_ordinary_text_has_the_tokenizers_own_tokens(request, kind, text):
    tokenizer = request.getfixturevalue(kind)
    twin = Twin(tokenizer, "")
    assert twin.encode(text) == tokenizer(text, add_special_tokens=False)["input_ids"]
    marked = f"<s>{text}</s>{text}"
    assert twin.encode(twin.spell(marked)) == tokenizer(marked, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_spells_a_special_token(request, kind):
    tokenizer = request.getfixturevalue(kind)
    twin = Twin(tokenizer, "")
    for name, number in twin.guarded.items():
        if number == tokenizer.unk_token_id:
            continue  # unknown words are
        assert number in twin.encode(twin.spell(name))
        assert number not in twin.encode(name)
        assert number not in twin.encode(f"Hello {name} there")


def test_a_vocabulary_entry_or_merge_cannot_spell_a_special_token_either(metaspace):
    """`</` + `s>` merge into `</s>` in this file, as converted sentencepiece models have it."""
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    data = json.loads(metaspace.backend_tokenizer.to_str())
    size = len(data["model"]["vocab"])
    data["model"]["vocab"] |= {"</": size, "s>": size + 1}
    data["model"]["merges"] = [["<", "/"], ["s", ">"], ["</", "s>"], *data["model"]["merges"]]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)), eos_token="</s>")
    assert tokenizer.backend_tokenizer.model.token_to_id("</s>") == 2
    assert [size, size + 1] == Twin(tokenizer, "").follow(None, "</s>")


def test_going_on_in_the_middle_of_text_makes_up_no_space(metaspace):
    twin = Twin(metaspace, "")
    words = metaspace.convert_ids_to_tokens
    assert words(twin.encode("is it"))[0] == "▁is"
    assert words(twin.follow(None, "is it"))[0] == "is"
    assert words(twin.follow(None, " is it"))[0] == "▁is"
    assert words(twin.follow(None, f"is{twin.spell('</s>')}")) == ["is", "</s>"]


def test_after_a_special_token_the_tokenizers_own_rule_holds(metaspace, legacy_metaspace):
    for tokenizer, word in ((metaspace, "is"), (legacy_metaspace, "▁is")):
        twin = Twin(tokenizer, "")
        bos = twin.spell("<s>")
        assert twin.after(bos) == bos
        assert tokenizer.convert_ids_to_tokens(twin.follow(bos, "is it"))[0] == word
        assert twin.after(bos + "x") is None


def test_a_token_that_swallows_the_white_space_after_it_swallows_the_responses_too(byte_level):
    byte_level.add_tokens([AddedToken("<|assistant|>", rstrip=True, special=True)], special_tokens=True)
    twin = Twin(byte_level, "")
    header = twin.spell("Hello<|assistant|>\n")
    whole = byte_level("Hello<|assistant|>\n It is 42.", add_special_tokens=False)["input_ids"]
    assert twin.encode(header) + twin.follow(twin.after(header), " It is 42.") == whole


def test_a_token_that_swallows_the_white_space_before_it_does_so_in_a_response(byte_level):
    byte_level.add_tokens([AddedToken("<|end|>", lstrip=True, special=True)], special_tokens=True)
    twin = Twin(byte_level, "")
    whole = byte_level("It is 42. \n<|end|>", add_special_tokens=False)["input_ids"]
    assert twin.follow(None, twin.spell("It is 42. \n<|end|>")) == whole


def test_thinking_tags_and_plain_added_words_can_be_said(byte_level):
    byte_level.add_tokens([AddedToken("bicycles", normalized=False), AddedToken("    ", normalized=False)])
    twin = Twin(byte_level, "<think>bicycles    </think>")
    for text in ("<think>", "</think>", "bicycles", "    "):
        assert twin.encode(text) == [byte_level.convert_tokens_to_ids(text)]


def test_a_plain_added_token_that_marks_turns_in_the_template_is_guarded(byte_level):
    byte_level.add_tokens([AddedToken("<turn>", normalized=False)])
    number = byte_level.convert_tokens_to_ids("<turn>")
    assert number in Twin(byte_level, "Hello").encode("<turn>")
    assert number not in Twin(byte_level, "<turn>user: ").encode("<turn>")


def test_a_tokenizer_without_a_fast_backend_is_refused():
    with pytest.raises(ModelError, match="object is not a fast tokenizer"):
        Twin(object(), "")

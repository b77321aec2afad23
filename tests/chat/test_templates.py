"""The choice among templates, and the sandbox they run in."""

from __future__ import annotations

import pytest

from truing.chat.render import render, strings, template
from truing.chat.templates import NAMED, choose
from truing.errors import DataError, ModelError, RecipeError

HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def rendered(source, messages=HELLO, generate=False):
    return render(template(source, name="mine"), messages, SPECIAL, generate=generate, name="mine")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chatml", "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n"),
        ("llama-2", "<s>[INST] Hello [/INST] Hi </s>"),
        (
            "llama-3",
            "<s><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>",
        ),
        ("zephyr", "<|user|>\nHello</s>\n<|assistant|>\nHi</s>\n"),
        ("plain", "<s>HelloHi</s>"),
        (
            "alpaca",
            "<s>Below is an instruction that describes a task. Write a response that appropriately completes the "
            "request.\n\n### Instruction:\nHello\n\n### Response:\nHi</s>",
        ),
    ],
)
def test_a_named_template_writes(name, text):
    assert rendered(NAMED[name]) == text


def test_plain_parts_turns_that_have_no_answer_between_them():
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    assert rendered(NAMED["plain"], turns) == "<s>Be kind.\n\nHello"


@pytest.mark.parametrize("name", ["Llama-2-chat", "llama2", "LLAMA_2"])
def test_names_are_found_however_they_are_written(byte_level, name):
    assert choose(byte_level, name).name == "llama-2"


def test_a_wrong_name_gets_a_suggestion(byte_level):
    with pytest.raises(RecipeError, match="no template is called 'chatlm'\n  Did you mean chatml"):
        choose(byte_level, "chatlm")


def test_a_file_is_a_template(byte_level, tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text("{{ messages[0].content }}")
    assert choose(byte_level, str(path)).source == "{{ messages[0].content }}"
    with pytest.raises(RecipeError, match="cannot be read"):
        choose(byte_level, str(tmp_path / "none.jinja"))


def test_several_own_templates_need_a_default(byte_level):
    byte_level.chat_template = {"rag": "a", "tool_use": "b"}
    with pytest.raises(ModelError, match="several chat templates"):
        choose(byte_level, "auto")


def test_a_syntax_error_names_its_line():
    with pytest.raises(ModelError, match="mine, line 2: the chat template is not valid jinja"):
        template("a\n{% if %}", name="mine")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% for i in range(1000000) %}x{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content + nothing }}",
    ],
)
def test_a_hostile_or_broken_template_is_an_error_of_the_model(source):
    with pytest.raises(ModelError, match="mine: the chat template fails"):
        rendered(source)


def test_a_refusal_of_the_template_is_an_error_of_the_data():
    with pytest.raises(DataError, match=r"refuses this conversation \(user, assistant\): turns must alternate"):
        rendered("{{ raise_exception('turns must alternate') }}")


def test_templates_have_the_functions_that_transformers_gives_them():
    assert rendered("{% generation %}{{ messages[0].content }}{% endgeneration %}") == "Hello"
    assert rendered("{{ {'a': '<é>'} | tojson }}") == '{"a": "<é>"}'
    assert len(rendered("{{ strftime_now('%Y') }}")) == 4
    assert rendered("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}") == "user"


def test_the_strings_a_template_looks_for_are_found():
    assert {"</think>", "content"} <= strings("{% if '</think>' in message['content'] %}x{% endif %}")

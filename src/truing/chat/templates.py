"""The named templates, and which one a tokenizer gets."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.errors import ModelError, RecipeError

__all__ = ["NAMED", "Choice", "choose"]

CHATML = """\
{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# A system turn takes the place of the preamble (as FastChat has it). The newline after "### Response:" is the common
# form (FastChat, Axolotl), Stanford's own script had none.
ALPACA = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}
{%- else %}{{ 'Below is an instruction that describes a task. \
Write a response that appropriately completes the request.' }}
{%- endif %}
{%- for message in messages %}
{%- if message['role'] == 'user' %}{{ '\\n\\n### Instruction:\\n' + message['content'] }}
{%- elif message['role'] == 'assistant' %}{{ '\\n\\n### Response:\\n' + message['content'] }}{{ eos_token }}
{%- elif not loop.first or message['role'] != 'system' %}
{{- raise_exception('Alpaca knows a first system turn, user and assistant turns; found ' + message['role']) }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}"""

# arXiv:2307.09288 and Meta's reference code: the system prompt lives inside the first user turn.
LLAMA_2 = """\
{%- if messages[0]['role'] == 'system' %}
{%- set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}{% set turns = messages[1:] %}
{%- else %}{% set system = '' %}{% set turns = messages %}
{%- endif %}
{%- for message in turns %}
{%- if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}
{{- raise_exception('Llama-2 turns alternate user, assistant, user, ...; found ' + message['role']) }}
{%- endif %}
{%- if message['role'] == 'user' %}
{{- bos_token }}{{ '[INST] ' + (system if loop.first else '') + message['content'].strip() + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'].strip() + ' ' }}{{ eos_token }}
{%- endif %}
{%- endfor %}"""

LLAMA_3 = """\
{{ bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

ZEPHYR = """\
{%- for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] }}{{ eos_token + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""

# Text and its continuation, as "standard" rows of TRL: no marker but bos and eos. Turns that follow one another without
# an answer between them are parted by an empty line.
PLAIN = """\
{{ bos_token }}
{%- for message in messages %}
{%- if not loop.first and message['role'] != 'assistant' and loop.previtem['role'] != 'assistant' %}{{ '\\n\\n' }}
{%- endif %}
{{- message['content'] }}
{%- if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}
{%- endfor %}"""

NAMED = {
    "chatml": CHATML,
    "alpaca": ALPACA,
    "llama-2": LLAMA_2,
    "llama-3": LLAMA_3,
    "zephyr": ZEPHYR,
    "plain": PLAIN,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A template: its source, a short `name` for messages, and `said`, how it came to be chosen."""

    source: str
    name: str
    said: str


def choose(tokenizer: Any, template: str) -> Choice:
    """`auto` = the tokenizer's own template, else plain; a name of `NAMED` (`Llama-2-chat` and the like too); or the
    path of a .jinja file."""
    if template == "auto":
        return _own(tokenizer)
    if template.endswith((".jinja", ".jinja2", ".j2")):
        return _from_file(Path(template))
    name = _key(template)
    for known, source in NAMED.items():
        if _key(known) == name:
            return Choice(source, known, f"{known}, by name")
    near = difflib.get_close_matches(template.lower(), NAMED, n=1, cutoff=0.5)
    raise RecipeError(
        f"no template is called {template!r}",
        where="chat template",
        remedy=(f"Did you mean {near[0]}? " if near else "") + f"There are auto, {', '.join(NAMED)}, or a .jinja file.",
    )


def _key(name: str) -> str:
    key = "".join(c for c in name.lower() if c.isalnum())
    return key.removesuffix("chat").removesuffix("instruct") if key.startswith("llama") else key


def _own(tokenizer: Any) -> Choice:
    own = getattr(tokenizer, "chat_template", None)
    if isinstance(own, dict):
        if "default" not in own:
            raise ModelError(
                f"the tokenizer has several chat templates ({', '.join(sorted(own))}) and none is called default",
                where=_place(tokenizer),
                remedy="Write the one to use into a .jinja file and name it as the template.",
            )
        own = own["default"]
    if own:
        return Choice(own, "the tokenizer's own template", "the tokenizer's own")
    return Choice(PLAIN, "plain", "plain, because the tokenizer has no template of its own")


def _from_file(path: Path) -> Choice:
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"the chat template cannot be read ({error})",
            where=str(path),
            remedy="Give the path of a .jinja text file.",
        ) from error
    return Choice(source, str(path), f"the file {path}")


def _place(tokenizer: Any) -> str:
    return f"tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__}"

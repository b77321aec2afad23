"""Instructions whose keeping can be checked by a program: the 25 of IFEval (arXiv:2311.07911, table 1).

Written from the paper and from what its data says. Every check is a function of the response; its keyword-only
parameters are what the data's `kwargs` give. Checks are linear in the length of a response.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError, validate_call

from truing.errors import DataError
from truing.registry import reward
from truing.rewards.format import parse_thought
from truing.rewards.instructions import case, form, keywords, length

__all__ = ["CHECKS", "follows", "follows_all", "instruction_following", "variants"]

Check = Callable[..., bool]

CHECKS: dict[str, Check] = {
    "keywords:existence": keywords.existence,
    "keywords:frequency": keywords.frequency,
    "keywords:forbidden_words": keywords.forbidden_words,
    "keywords:letter_frequency": keywords.letter_frequency,
    "language:response_language": case.response_language,
    "length_constraints:number_sentences": length.number_sentences,
    "length_constraints:number_paragraphs": length.number_paragraphs,
    "length_constraints:number_words": length.number_words,
    "length_constraints:nth_paragraph_first_word": length.nth_paragraph_first_word,
    "detectable_content:number_placeholders": form.number_placeholders,
    "detectable_content:postscript": form.postscript,
    "detectable_format:number_bullet_lists": form.number_bullet_lists,
    "detectable_format:constrained_response": form.constrained_response,
    "detectable_format:number_highlighted_sections": form.number_highlighted_sections,
    "detectable_format:multiple_sections": form.multiple_sections,
    "detectable_format:json_format": form.json_format,
    "detectable_format:title": form.title,
    "combination:two_responses": form.two_responses,
    "combination:repeat_prompt": form.repeat_prompt,
    "startend:end_checker": form.end_checker,
    "startend:quotation": form.quotation,
    "change_case:capital_word_frequency": case.capital_word_frequency,
    "change_case:english_capital": case.english_capital,
    "change_case:english_lowercase": case.english_lowercase,
    "punctuation:no_comma": form.no_comma,
}

_CHECKED = {
    name: validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function) for name, function in CHECKS.items()
}


def follows(response: str, instruction: str, settings: Mapping[str, Any]) -> bool:
    """Whether a response keeps to an instruction; an empty one keeps to none.

    `settings` as in IFEval's `kwargs`: what is null there is not given. `DataError` for an instruction that is not
    known, and for settings that are not its own.
    """
    if instruction not in CHECKS:
        raise DataError(
            f"there is no instruction {instruction!r:.80}",
            where="reward `instruction_following`, column `instruction_id_list`",
            remedy=f"Known: {', '.join(CHECKS)}.",
        )
    given = {name: value for name, value in settings.items() if value is not None}
    names = list(inspect.signature(CHECKS[instruction]).parameters)[1:]
    try:
        # What an instruction does not know is another's: tables have a column for every setting of every instruction.
        kept = _CHECKED[instruction](response, **{name: given[name] for name in names if name in given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(
            f"{instruction}: `{'.'.join(map(str, first['loc']))}`: {first['msg']} (found {given!r:.120})",
            where="reward `instruction_following`, column `kwargs`",
            remedy=f"It takes {', '.join(names) or 'none'}.",
        ) from error
    return bool(response.strip()) and kept


def variants(response: str) -> list[str]:
    """The eight readings of a response of which a loose check takes the best (IFEval, sec. 2.2): without its first
    line ("Sure, here it is:"), its last, both, or neither; each with and without the asterisks of Markdown."""
    lines = response.split("\n")
    cuts = [lines, lines[1:], lines[:-1], lines[1:-1]]
    texts = ["\n".join(cut).strip() for cut in cuts]
    return [response, *texts[1:], *(text.replace("*", "") for text in [response, *texts[1:]])]


def follows_all(
    response: str, instructions: Sequence[str], settings: Sequence[Mapping[str, Any]], *, loose: bool = False
) -> list[bool]:
    """For each instruction whether it is kept; `loose`: by any of the readings."""
    readings = variants(response) if loose else [response]
    return [
        any(follows(reading, instruction, given) for reading in readings)
        for instruction, given in zip(instructions, settings, strict=True)
    ]


@reward
def instruction_following(
    prompts: Sequence[Any],
    completions: Sequence[str],
    *,
    instruction_id_list: Sequence[Sequence[str] | None],
    kwargs: Sequence[Sequence[Mapping[str, Any]] | None],
    mode: Literal["strict", "loose"] = "strict",
    level: Literal["instruction", "prompt"] = "instruction",
    thought: bool = False,
    **columns: Any,
) -> list[float | None]:
    """The share of the row's verifiable instructions that a response keeps to (IFEval, arXiv:2311.07911); with `level:
    prompt` 1 where it keeps to all of them, else 0. None for a row without instructions.

    Columns as in IFEval's data: `instruction_id_list`, and `kwargs` with settings for each. `mode: loose` also accepts
    what keeps to them without its first or last line or Markdown's asterisks. What follows a thought in think tags is
    read, with `thought` all of it.
    """
    out: list[float | None] = []
    for text, names, settings in zip(completions, instruction_id_list, kwargs, strict=True):
        if not names:
            out.append(None)
            continue
        read = text if thought else parse_thought(text)[1]
        kept = follows_all(read, names, _settings(names, settings), loose=mode == "loose")
        out.append(float(all(kept)) if level == "prompt" else sum(kept) / len(kept))
    return out


def _settings(names: Sequence[str], cell: Any) -> Sequence[Mapping[str, Any]]:
    given = [{}] * len(names) if cell is None else [one or {} for one in cell] if isinstance(cell, list) else cell
    if not isinstance(given, list) or len(given) != len(names) or not all(isinstance(g, Mapping) for g in given):
        raise DataError(
            f"it holds {cell!r:.80} for {len(names)} instructions",
            where="reward `instruction_following`, column `kwargs`",
            remedy="It should be a list with one object for each instruction.",
        )
    return given

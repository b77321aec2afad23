"""Crowd votes of LLMFAO: `prompt` and `model_x`, `model_y` as numbers, `winner` (left, right or tie), `worker`.

The texts stand in files beside the votes: `llmfao_prompts.jsonl` (`id`, `text`) and `llmfao_responses.jsonl` (`prompt`,
`model`, `result`), each also .gz. Left is `model_x`. A row is one vote, a group of two; `--merge` puts the votes on the
same two responses together. Verdicts of a model have no `worker`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, has, read_only
from truing.feedback.formats.cells import Row, cell, rest, shown, text, wrong
from truing.feedback.sources import rows
from truing.group import Group, Prompt, Ranking, Response

__all__ = ["FORMAT"]

PROMPTS, RESPONSES = "llmfao_prompts.jsonl", "llmfao_responses.jsonl"
_RANKS = {"left": (1, 2), "right": (2, 1), "tie": (1, 1)}


def _beside(folder: Path, name: str, where: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        "the row holds numbers of texts, and the texts are not there",
        where=where,
        remedy=f"Put {name} (or .gz) into the folder of the votes.",
    )


@functools.lru_cache(maxsize=8)
def _texts(path: Path, time_ns: int, keys: tuple[str, ...], value: str) -> dict[tuple[int, ...], str]:
    """Texts by their numbers; `time_ns` is the file's, so that a new one is read anew."""
    found = {}
    for where, row in rows(path):
        number = tuple(_number(row, key, where) for key in keys)
        # A model may have said nothing; a vote on it is a vote.
        if not isinstance(row.get(value), str):
            raise wrong(value, row.get(value), where, "It should be text.")
        found[number] = text(row, value, where) if row[value].strip() else ""
    return found


def _number(row: Row, column: str, where: str) -> int:
    value = cell(row, column, where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(column, value, where, "It should be a whole number.")
    return value


def _found(path: Path, keys: tuple[str, ...], value: str, numbers: tuple[int, ...], where: str) -> str:
    texts = _texts(path, path.stat().st_mtime_ns, keys, value)
    if numbers not in texts:
        named = ", ".join(f"{key} {number}" for key, number in zip(keys, numbers, strict=True))
        raise DataError(f"{path.name} has no text for {named}", where=where, remedy="Do the files belong together?")
    return texts[numbers]


def read(row: Row, where: str) -> Group:
    winner: Any = cell(row, "winner", where)
    if not isinstance(winner, str) or winner not in _RANKS:
        raise wrong("winner", winner, where, "It should be left, right or tie.")
    asked, models = _number(row, "prompt", where), [_number(row, m, where) for m in ("model_x", "model_y")]
    worker = row.get("worker")
    if worker is not None and (isinstance(worker, bool) or not isinstance(worker, (int, str))):
        raise DataError(f"column `worker` holds {shown(worker)}", where=where, remedy="It should be a number or name.")
    folder = Path(where.rsplit(":", 1)[0]).parent
    prompts, responses = _beside(folder, PROMPTS, where), _beside(folder, RESPONSES, where)
    answers = tuple(
        Response.of(_found(responses, ("prompt", "model"), "result", (asked, model), where)) for model in models
    )
    said = Ranking(_RANKS[winner], annotator_id=None if worker is None else str(worker))
    columns = rest(row, "prompt", "model_x", "model_y", "winner", "worker")
    question = _found(prompts, ("id",), "text", (asked,), where)
    return Group(Prompt.of(question), answers, (said,), columns)


FORMAT = Format(
    name="llmfao",
    needs=("prompt", "model_x", "model_y", "winner"),
    summary="crowd votes: prompt, model_x, model_y, winner, worker (LLMFAO)",
    sniff=has("prompt", "model_x", "model_y", "winner"),
    read=read,
    write=read_only("llmfao"),
    writes=False,
)

"""Pairs of LLMBar (arXiv:2310.07641), also as it holds MT-Bench: `input`, `output_1`, `output_2` and `label`, 1 or 2,
the better one. `subset` (RewardBench's names) stays a column: accuracy by category groups by it."""

from __future__ import annotations

from truing.feedback.formats.base import Format, has, read_only
from truing.feedback.formats.cells import Row, cell, rest, text, wrong
from truing.group import Group, Prompt, Ranking, Response

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    label = cell(row, "label", where)
    if isinstance(label, bool) or label not in (1, 2):
        raise wrong("label", label, where, "It should be 1 or 2: the better output.")
    answers = tuple(Response.of(text(row, column, where)) for column in ("output_1", "output_2"))
    said = Ranking((1, 2) if label == 1 else (2, 1))
    columns = rest(row, "input", "output_1", "output_2", "label")
    return Group(Prompt.of(text(row, "input", where)), answers, (said,), columns)


FORMAT = Format(
    name="llmbar",
    needs=("input", "output_1", "output_2", "label"),
    summary="pairs: input, output_1, output_2, label (LLMBar)",
    sniff=has("input", "output_1", "output_2", "label"),
    read=read,
    write=read_only("llmbar"),
    writes=False,
)

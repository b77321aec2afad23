"""Thumbs: `prompt`, `completion` and `label`, true = good (TRL's unpaired preference)."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats.base import Format, as_value, given, has, joined, only, prompt_turns, unfit
from truing.feedback.formats.cells import Row, annotator, cell, prompt, response, rest, truth
from truing.group import Group, Labels

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    thumb = truth(cell(row, "label", where), "label", where)
    answer = response(cell(row, "completion", where), "completion", where)
    columns = rest(row, "prompt", "completion", "label", "annotator_id")
    return Group(prompt(row, where), (answer,), (Labels((thumb,), annotator(row, where)),), columns)


def write(group: Group) -> dict[str, Any]:
    said = only(group, Labels, "unpaired")
    if len(said.values) != 1 or said.values[0] is None:
        raise unfit("unpaired", "a group whose thumbs are not one")
    own = {
        "prompt": prompt_turns(group, "unpaired"),
        "completion": as_value(group.responses[0], "unpaired"),
        "label": said.values[0],
        **given(annotator_id=said.annotator_id),
    }
    return joined(own, group, "unpaired", "annotator_id")


FORMAT = Format(
    name="unpaired",
    needs=("prompt", "completion", "label"),
    summary="thumbs: prompt, completion, label (TRL)",
    sniff=has("prompt", "completion", "label"),
    read=read,
    write=write,
)

"""Red-team attempts of hh-rlhf (arXiv:2209.07858): a `transcript`, and how well the attack went as `rating` (0..4).

The prompt is the attacker's first turn, the rest of the dialogue is the response; the rating becomes a score of the
aspect `red_team_success`: a high one means a harmful answer.
"""

from __future__ import annotations

from typing import Any

from truing.feedback.formats.base import Format, has, joined, only, unfit
from truing.feedback.formats.cells import Row, annotator, build, cell, number, rest, text
from truing.feedback.formats.hh import spoken, transcript
from truing.feedback.formats.messages import split
from truing.group import Group, Scores

__all__ = ["FORMAT"]

ASPECT = "red_team_success"
SCALE = (0.0, 4.0)


def read(row: Row, where: str) -> Group:
    asked, answer = split(spoken(text(row, "transcript", where), "transcript", where), "transcript", where)
    rating = number(cell(row, "rating", where), "rating", where)
    said = build(where, Scores, {ASPECT: (rating,)}, scale=SCALE, annotator_id=annotator(row, where))
    return Group(asked, (answer,), (said,), rest(row, "transcript", "rating", "annotator_id"))


def write(group: Group) -> dict[str, Any]:
    said = only(group, Scores, "red_team")
    if list(said.values) != [ASPECT] or said.scale != SCALE or len(group.responses) != 1:
        raise unfit("red_team", "a score that is no rating of an attack")
    messages = (*group.prompt.messages, *group.responses[0].messages)
    if group.responses[0].steps or split(messages, "transcript", "")[0] != group.prompt:
        raise unfit("red_team", "a prompt of several exchanges")
    own: dict[str, Any] = {"transcript": transcript(messages, "red_team"), "rating": said.values[ASPECT][0]}
    if own["rating"] is None:
        raise unfit("red_team", "a missing rating")
    if said.annotator_id is not None:
        own["annotator_id"] = said.annotator_id
    return joined(own, group, "red_team", "annotator_id")


FORMAT = Format(
    name="red_team",
    needs=("transcript", "rating"),
    summary="rated attacks: transcript, rating (hh-rlhf red-team attempts)",
    sniff=has("transcript", "rating"),
    read=read,
    write=write,
)

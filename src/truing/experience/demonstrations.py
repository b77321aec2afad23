"""What of a judged group is worth imitating. Pure functions; knows only groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from truing.group import Critique, Group, Labels, Ranking, Response, Scores, StepLabels

__all__ = ["corrected", "corrections", "faulty"]


def corrections(group: Group) -> list[list[Response]]:
    """For each response what people wrote in its place, each version once. What was left as it is corrects nothing."""
    found: list[list[Response]] = [[] for _ in group.responses]
    for critique in group.said(Critique):
        for versions, response, edit in zip(found, group.responses, critique.edits, strict=False):
            if edit is not None and edit != response and edit not in versions:
                versions.append(edit)
    return found


def faulty(group: Group) -> list[bool]:
    """Whether somebody found a fault in each response: a wrong step, or a correction written in its place.

    Words without a correction are a fault too, unless the group has thumbs, scores or a ranking, which say how the
    words are meant.
    """
    judged = any(isinstance(said, (Ranking, Scores, Labels)) for said in group.feedback)
    found = [bool(versions) for versions in corrections(group)]
    for steps in group.said(StepLabels):
        wrong = [any(mark is not None and mark < 0 for mark in marks) for marks in steps.values]
        found = [fault or bad for fault, bad in zip(found, wrong, strict=True)]
    for critique in () if judged else group.said(Critique):
        words = [
            edit is None and bool(text and text.strip()) for text, edit in zip_longest(critique.texts, critique.edits)
        ]
        found = [fault or said for fault, said in zip(found, words, strict=True)]
    return found


def corrected(group: Group, worth: Sequence[bool]) -> tuple[Group, list[bool]]:
    """The group to imitate, and which of its responses are `worth` it: corrections stand where the responses were that
    they correct, and are.

    The feedback is left out: what was said of a response is not said of its correction.
    """
    responses: list[Response] = []
    flags: list[bool] = []
    for response, versions, good in zip(group.responses, corrections(group), worth, strict=True):
        responses += versions or [response]
        flags += [True] * len(versions) or [good]
    return replace(group, responses=tuple(responses), feedback=()), flags

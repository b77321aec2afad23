"""First errors of MR-GSM8K (arXiv:2312.17080): `question`, `model_output_steps` and
`model_output_solution_first_error_step`, counted from 1.

A solution called correct has no error; a wrong one must say where. The reason of the error becomes a critique. A right
answer (`model_output_answer_correctness`) by a wrong way stays wrong: the way is what was judged.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, has, read_only
from truing.feedback.formats.cells import Row, filled, rest, shown, text
from truing.feedback.formats.first_error import marked, solution
from truing.group import Critique, Feedback, Group, Prompt

__all__ = ["FORMAT"]

STEPS = "model_output_steps"
ERROR = "model_output_solution_first_error_step"
REASON = "model_output_solution_first_error_reason"
VERDICT = "model_output_solution_correctness"


def _place(row: Row, where: str) -> Any:
    verdict, place = row.get(VERDICT, "wrong"), row.get(ERROR)
    if verdict == "correct":
        return None
    if verdict != "wrong" or not filled(row, ERROR):
        raise DataError(
            f"`{VERDICT}` is {shown(verdict)} and `{ERROR}` is {shown(place)}",
            where=where,
            remedy="A solution is `correct`, or `wrong` with the number of its first wrong step.",
        )
    return place


def read(row: Row, where: str) -> Group:
    answer = solution(row, STEPS, where)
    said: list[Feedback] = [marked(answer, _place(row, where), ERROR, where, first=1)]
    if filled(row, REASON):
        said.append(Critique((text(row, REASON, where),)))
    columns = rest(row, "question", STEPS, ERROR, REASON, VERDICT)
    return Group(Prompt.of(text(row, "question", where)), (answer,), tuple(said), columns)


FORMAT = Format(
    name="mr_gsm8k",
    needs=("question", STEPS, ERROR),
    summary=f"first errors, counted from 1: question, {STEPS}, {ERROR} (MR-GSM8K)",
    sniff=has("question", STEPS, ERROR),
    read=read,
    write=read_only("mr_gsm8k"),
    writes=False,
)

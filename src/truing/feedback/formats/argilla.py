"""Records of Argilla: `fields`, `responses`, `suggestions`, as `dataset.records.to_json` writes them.

    fields        `prompt` and `response1`, `response2`, ... (or other names of prompts and responses)
    responses     {question: [{"value": ..., "user_id": ...}]}; also Argilla 1: [{"values": {...}, "user_id", "status"}]
    suggestions   {question: {"value": ..., "agent": ...}}: the column `predictions`, as they are nobody's judgement
    metadata      the group's columns

    ranking            names of fields, best first, or [{"value": name, "rank": 1}]
    rating             a whole number; `clear_response2` is the aspect `clear` of the second response
    label_selection    up or down (good, bad, ...): a thumb; the name of a field, or tie: a preference of two
    text               a critique; an edit where the question is called so

What answers another question (a topic, several labels) is kept in the column `other_answers`; whose response is a
draft or discarded in `skipped_by`. Spans of text are an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from truing.errors import DataError
from truing.feedback.formats import group as any_group
from truing.feedback.formats.annotated import (
    Answer,
    Sheet,
    answers_of,
    column_of,
    columns_beside,
    common_scale,
    others_of,
    predicted,
    question_name,
    scale_of,
    wrong_answer,
)
from truing.feedback.formats.base import Format, unfit
from truing.feedback.formats.cells import Row, annotator, shown, structured
from truing.feedback.formats.fields import Fields, extra_columns, fields_of, shown_fields
from truing.group import Feedback, Group

__all__ = ["FORMAT"]

_NAME = "argilla"
_NOTES = {"id", "_server_id", "vectors", "status", "external_id", "inserted_at", "updated_at"}
_READ = ("fields", "responses", "suggestions", "metadata")
_UNSENT = ("draft", "discarded")


# ---- reading ---------------------------------------------------------------------------------------------------------

Said = tuple[str, Any, str | None, str]
"""(question, value, who, status)."""


def _user(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, (str, int)):
        raise DataError(f"a response has the user_id {shown(value)}", where=where, remedy="It should be text.")
    return annotator({"annotator_id": value}, where)


def _entry(value: Any, what: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{what} is {shown(value)}", where=where, remedy='It should be {"value": ...}.')
    return value


def _status(value: Any) -> str:
    return value if isinstance(value, str) else "submitted"


def _responses(value: Any, where: str) -> list[Said]:
    found: list[Said] = []
    if isinstance(value, list):  # Argilla 1: one object a person
        for each in value:
            sent = _entry(each, "a response", where)
            who, status, values = _user(sent.get("user_id"), where), _status(sent.get("status")), sent.get("values")
            for question, one in (_entry(values, "`values`", where) if values else {"": None}).items():
                found.append((question, one.get("value") if isinstance(one, dict) else one, who, status))
        return found
    for question, sent_by in _entry(value, "`responses`", where).items():
        if not isinstance(sent_by, list) and sent_by is not None:
            raise wrong_answer(question, sent_by, where, "It should be a list of responses.")
        for each in sent_by or []:
            sent = _entry(each, f"a response to `{question}`", where)
            found.append((question, sent.get("value"), _user(sent.get("user_id"), where), _status(sent.get("status"))))
    return found


def _suggestions(value: Any, where: str) -> list[Said]:
    found: list[Said] = []
    if isinstance(value, list):
        named = [(_entry(each, "a suggestion", where).get("question_name"), each) for each in value]
    else:
        named = list(_entry(value, "`suggestions`", where).items())
    for question, each in named:
        if each is not None:
            one = _entry(each, f"the suggestion for `{question}`", where)
            found.append((str(question), one.get("value"), _user(one.get("agent"), where), "submitted"))
    return found


def _ranked(value: list[Any]) -> list[list[Any]] | None:
    """Names place by place; None where it is no ranking."""
    if all(isinstance(each, dict) and "value" in each and each.get("rank") is not None for each in value):
        if not all(isinstance(each["rank"], int) for each in value):
            return None
        places = sorted({each["rank"] for each in value})
        return [[each["value"] for each in value if each["rank"] == place] for place in places]
    return None


def _answer(sheet: Sheet, question: str, value: Any) -> None:
    names = sheet.fields.ids
    if isinstance(value, bool) or value is None:
        raise wrong_answer(question, value, sheet.where, "It should be a number, text or a list.")
    if isinstance(value, (int, float)):
        sheet.score(question, None, value)
    elif isinstance(value, list) and value and (ranked := _ranked(value)):
        sheet.order_of(question, ranked)
    elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        if len(names) > 1 and all(each in names for each in value):
            sheet.order_of(question, [[each] for each in value])
        else:
            sheet.choose(question, None, value)
    elif isinstance(value, str):
        _text(sheet, question, value)
    else:
        found = "spans of text" if isinstance(value, list) and value and isinstance(value[0], dict) else shown(value)
        raise DataError(
            f"the answer to `{question}` is {found}",
            where=sheet.where,
            remedy="Known: labels, ratings, rankings and text. Export without that question, or leave such records out "
            "(--skip-bad does).",
        )


def _text(sheet: Sheet, question: str, value: str) -> None:
    """A label and a text are both text: one that is a thumb or a preference is meant as a label."""
    if question in ("strength", "margin") and len(sheet.fields.responses) == 2 and _numeric(value):
        sheet.score(question, None, value)
    elif not question.startswith(("critique", "edit")) and sheet.is_label(question, value):
        sheet.choose(question, None, value)
    else:
        sheet.write(question, None, value)


def _numeric(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _sheets(said: Iterable[Said], fields: Fields, where: str) -> tuple[dict[str | None, Sheet], list[str | None]]:
    """One sheet a person, and who sent nothing."""
    sheets: dict[str | None, Sheet] = {}
    skipped: dict[str | None, None] = {}
    for question, value, who, status in said:
        if status in _UNSENT or value is None:
            skipped[who] = None
            continue
        if who not in sheets:
            sheets[who] = Sheet(fields, where, scale_of(fields.rest, where))
        _answer(sheets[who], question_name(question, "", where), value)
    return sheets, [who for who in skipped if who not in sheets]


def read(row: Row, where: str) -> Group:
    found = structured(row, "fields", where)
    metadata = column_of(row, "metadata", where)
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict) or not isinstance(found, dict):
        raise DataError(f"`metadata` holds {shown(metadata)}", where=where, remedy="`fields` and it should be objects.")
    fields = fields_of(found, "fields", where)
    fields.rest.update(metadata)
    sheets, skipped = _sheets(_responses(column_of(row, "responses", where) or {}, where), fields, where)
    feedback = [said for who, sheet in sheets.items() for said in sheet.feedback(who)]
    others = [other for who, sheet in sheets.items() for other in others_of(sheet, who)]
    guesses, _ = _sheets(_suggestions(column_of(row, "suggestions", where) or {}, where), fields, where)
    guessed = [any_group.as_feedback(said) for who, sheet in guesses.items() for said in sheet.feedback(who)]
    columns = columns_beside(
        row, fields, (*_NOTES, *_READ), number="record_id", others=others, skipped=skipped, guessed=guessed
    )
    return Group(fields.prompt, fields.responses, tuple(feedback), columns)


# ---- writing ---------------------------------------------------------------------------------------------------------


def _question(answer: Answer, names: tuple[str, ...]) -> tuple[str, Any]:
    name = names[answer.index]
    match answer.kind:
        case "ranking":
            ranked = sorted((rank, own) for rank, own in zip(answer.value, names, strict=True) if rank is not None)
            if len({rank for rank, _ in ranked}) == len(ranked) > 1:
                return "ranking", [own for _, own in ranked]
            return "ranking", [{"value": own, "rank": rank} for rank, own in ranked]
        case "strength" | "margin":
            return answer.kind, repr(answer.value)  # Argilla's ratings are whole numbers
        case "score":
            if not float(answer.value).is_integer() or not 0 <= answer.value <= 10:
                raise unfit(_NAME, f"a score of {answer.value:g}", "Argilla's ratings are whole numbers, 0 to 10.")
            return f"{answer.aspect}_{name}", int(answer.value)
        case "thumb":
            return f"thumb_{name}", "up" if answer.value else "down"
        case "critique" | "edit":
            return f"{answer.kind}_{name}", answer.value


def _told(feedback: Iterable[Feedback], group: Group, names: tuple[str, ...]) -> dict[tuple[str | None, str], Any]:
    """(who, question) -> value."""
    made: dict[tuple[str | None, str], Any] = {}
    for said in feedback:
        for answer in answers_of(said, group, _NAME):
            question, value = _question(answer, names)
            if (said.annotator_id, question) in made:
                raise unfit(_NAME, f"`{question}`, answered twice by {said.annotator_id or 'somebody unnamed'},")
            made[said.annotator_id, question] = value
    return made


def write(group: Group) -> dict[str, Any]:
    shown_here, names = shown_fields(group, "response", _NAME)
    predictions = predicted(group, _NAME)
    scale = common_scale((*group.feedback, *predictions), _NAME)
    columns = {k: v for k, v in group.columns.items() if k not in ("skipped_by", "predictions")}
    extra_columns(Group(group.prompt, group.responses, (), columns), ("rating_scale", "skipped_by"), "", _NAME)
    responses: dict[str, list[dict[str, Any]]] = {}
    for (who, question), value in _told(group.feedback, group, names).items():
        responses.setdefault(question, []).append({"value": value, "user_id": who})
    for who in group.columns.get("skipped_by") or []:
        responses.setdefault("ranking", []).append({"value": None, "user_id": who, "status": "discarded"})
    suggestions: dict[str, dict[str, Any]] = {}
    for (who, question), value in _told(predictions, group, names).items():
        if question in suggestions:
            raise unfit(_NAME, f"two predictions of `{question}`", "Argilla shows one suggestion a question.")
        suggestions[question] = {"value": value, "agent": who}
    metadata = columns | ({} if scale is None else {"rating_scale": list(scale)})
    return {"fields": shown_here, "metadata": metadata, "responses": responses, "suggestions": suggestions}


def _object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{"))


FORMAT = Format(
    name=_NAME,
    needs=("fields", "responses"),
    summary="records of Argilla: fields, responses, suggestions, metadata",
    sniff=lambda row: _object(row.get("fields")) and ("responses" in row or "suggestions" in row),
    read=read,
    write=write,
)

"""Tasks of Label Studio: `data`, `annotations`, `predictions`, as its JSON export has them and its import takes them.

    data          `prompt` and `answer1`, `answer2`, ... (or its templates' other names, or a list of items)
    annotations   one a person (`completed_by`): `result`, a list of answers by `type`
    predictions   the same of models (`model_version`): the column `predictions`, as they are nobody's judgement

    pairwise      {"selected": "left"}            which of two is preferred
    ranker        {"ranker": {"rank": [ids]}}     an order; several buckets are places, best first: place1, place2, ...,
                                                  or best, good, neutral, bad, ...; what stays in `_` is unranked
    rating, number, choices, textarea             scores, thumbs (up, down, good, bad), ties, critiques and edits

What answers another question (a topic, a remark on both) is kept in the column `other_answers`, cancelled and empty
annotations in `skipped_by`. A result of another type is an error that names it. Drafts and what the server notes
(dates, counts) are left out. `config` is the labelling interface that the tasks written here want.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

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
from truing.feedback.formats.base import Format
from truing.feedback.formats.cells import Row, annotator, shown, structured
from truing.feedback.formats.fields import Fields, extra_columns, fields_of, shown_fields
from truing.group import Feedback, Group, Scores

__all__ = ["FORMAT", "config"]

_NAME = "label_studio"
_OWN = ("prompt", "items", "rating_scale", "skipped_by")
# What the server notes about a task, and nothing about the responses.
_NOTES = {
    "allow_skip", "cancelled_annotations", "comment_authors", "comment_count", "created_at", "drafts", "file_upload",
    "id", "inner_id", "is_labeled", "last_comment_updated_at", "meta", "overlap", "precomputed_agreement", "project",
    "state", "total_annotations", "total_predictions", "unresolved_comment_count", "updated_at", "updated_by",
}  # fmt: skip
_PLACE = re.compile(r"(?:place|rank|position)?[-_ ]?(\d{1,4})", re.IGNORECASE)
_BUCKETS = (
    ("best", "excellent"),
    ("good", "better", "positive", "positives", "relevant", "relevant_results", "preferred", "chosen"),
    ("neutral", "ok", "okay", "fair", "average", "medium"),
    ("bad", "worse", "negative", "negatives", "irrelevant", "irrelevant_results", "hard_negatives", "rejected"),
    ("worst", "terrible"),
)


# ---- reading ---------------------------------------------------------------------------------------------------------


def _person(value: Any, where: str) -> str | None:
    """`completed_by`: a number, or an object with the number and the email."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("email", "username", "id") if value.get(key) is not None), None)
    return annotator({"annotator_id": value}, where)


def _place(bucket: str, where: str) -> int:
    if match := _PLACE.fullmatch(bucket):
        return int(match[1])
    for place, names in enumerate(_BUCKETS):
        if bucket.strip().lower() in names:
            return place
    raise DataError(
        f"the ranker has a bucket `{bucket}`, and nothing says how good its items are",
        where=where,
        remedy="Call the buckets place1, place2, ... (best first), or best, good, neutral, bad, worst.",
    )


def _ranker(sheet: Sheet, question: str, value: Any) -> None:
    buckets = {} if not isinstance(value, dict) else {k: v for k, v in value.items() if v is not None}
    if not buckets or not all(isinstance(names, list) for names in buckets.values()):
        raise wrong_answer(question, value, sheet.where, 'It should be {"rank": [ids]}, or a list a bucket.')
    named = {name: names for name, names in buckets.items() if name != "_"}
    if len(buckets) == 1 and named and not _PLACE.fullmatch(next(iter(named))):
        (order,) = named.values()
        sheet.order_of(question, [[name] for name in order])
        return
    places: dict[int, list[Any]] = {}
    for name, names in named.items():
        if names:
            places.setdefault(_place(name, sheet.where), []).extend(names)
    sheet.order_of(question, [places[place] for place in sorted(places)])


def _pairwise(sheet: Sheet, question: str, value: Any) -> None:
    if value not in ("left", "right") or len(sheet.fields.responses) != 2:
        raise wrong_answer(question, value, sheet.where, "It should be left or right, of two responses.")
    sheet.rank(question, (1, 2) if value == "left" else (2, 1))


def _answer(sheet: Sheet, result: Any) -> None:
    where = sheet.where
    if not isinstance(result, dict) or not isinstance(result.get("type"), str):
        raise DataError(f"an annotation holds the result {shown(result)}", where=where, remedy="It needs a `type`.")
    kind, value = result["type"].lower(), result.get("value")
    question, about = question_name(result.get("from_name"), kind, where), result.get("to_name")
    if not isinstance(value, dict):
        raise wrong_answer(question, value, where, "A result has a `value`, an object.")
    match kind:
        case "pairwise":
            _pairwise(sheet, question, value.get("selected"))
        case "ranker":
            _ranker(sheet, question, value.get("ranker"))
        case "rating" | "number":
            sheet.score(question, about, value.get(kind))
        case "choices":
            sheet.choose(question, about, value.get("choices"))
        case "textarea":
            sheet.write(question, about, value.get("text"))
        case _:
            raise DataError(
                f"`{question}` is a result of the type {shown(result['type'])}, which says nothing about a response",
                where=where,
                remedy="Known: pairwise, ranker, rating, number, choices, textarea. Export the project without it, or "
                "leave such tasks out (--skip-bad does).",
            )


def _listed(row: Row, column: str, where: str) -> list[dict[str, Any]]:
    value = column_of(row, column, where) or []
    if not isinstance(value, list) or not all(isinstance(each, (dict, int)) for each in value):
        raise DataError(
            f"column `{column}` holds {shown(value)}", where=where, remedy="It should be a list of objects."
        )
    # An export without predictions names them by their numbers.
    return [each for each in value if isinstance(each, dict)]


def _sheet(annotation: Mapping[str, Any], fields: Fields, where: str) -> Sheet:
    results = annotation.get("result") or []
    if not isinstance(results, list):
        raise DataError(f"an annotation has the result {shown(results)}", where=where, remedy="It should be a list.")
    sheet = Sheet(fields, where, scale_of(fields.rest, where))
    for result in results:
        _answer(sheet, result)
    return sheet


def read(row: Row, where: str) -> Group:
    fields = fields_of(structured(row, "data", where), "data", where)
    feedback: list[Feedback] = []
    others: list[dict[str, Any]] = []
    skipped: list[str | None] = []
    for annotation in _listed(row, "annotations", where):
        who = _person(annotation.get("completed_by"), where)
        sheet = Sheet(fields, where) if annotation.get("was_cancelled") is True else _sheet(annotation, fields, where)
        said, other = sheet.feedback(who), others_of(sheet, who)
        if not said and not other:
            skipped.append(who)
        feedback += said
        others += other
    guessed: list[dict[str, Any]] = []
    for prediction in _listed(row, "predictions", where):
        version = prediction.get("model_version")
        who = annotator({"annotator_id": version}, where)
        guessed += [any_group.as_feedback(said) for said in _sheet(prediction, fields, where).feedback(who)]
    columns = columns_beside(
        row,
        fields,
        (*_NOTES, "data", "annotations", "predictions"),
        number="task_id",
        others=others,
        skipped=skipped,
        guessed=guessed,
    )
    return Group(fields.prompt, fields.responses, tuple(feedback), columns)


# ---- writing ---------------------------------------------------------------------------------------------------------


def _result(answer: Answer, names: tuple[str, ...]) -> dict[str, Any]:
    name = names[answer.index]

    def made(question: str, about: str, kind: str, value: Any, key: str | None = None) -> dict[str, Any]:
        return {"from_name": question, "to_name": about, "type": kind, "value": {key or kind: value}}

    match answer.kind:
        case "ranking":
            ranks = answer.value
            if len(names) == 2:
                if ranks[0] == ranks[1]:
                    return made("preference_tie", names[0], "choices", ["tie"])
                return made("preference", names[0], "pairwise", "left" if ranks[0] < ranks[1] else "right", "selected")
            places = sorted({rank for rank in ranks if rank is not None})
            tied = [[own for own, rank in zip(names, ranks, strict=True) if rank == place] for place in places]
            if all(len(each) == 1 for each in tied):
                return made("rank", "items", "ranker", {"rank": [each[0] for each in tied]})
            return made("rank", "items", "ranker", {f"place{i}": each for i, each in enumerate(tied, 1)})
        case "strength" | "margin":
            return made(answer.kind, names[0], "number", answer.value)
        case "score":
            whole = float(answer.value).is_integer() and 0 <= answer.value <= 100
            kind, value = ("rating", int(answer.value)) if whole else ("number", answer.value)
            return made(f"{answer.aspect}_{name}", name, kind, value)
        case "thumb":
            return made(f"thumb_{name}", name, "choices", ["up" if answer.value else "down"])
        case "critique" | "edit":
            return made(f"{answer.kind}_{name}", name, "textarea", [answer.value], "text")


def _who(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    number = name.isascii() and name.isdecimal() and str(int(name)) == name and len(name) < 10
    return {"completed_by": int(name) if number else {"email": name}}


def _sheets(feedback: Iterable[Feedback], group: Group, names: tuple[str, ...]) -> list[tuple[str | None, list[Any]]]:
    """(who, results): what one person said in a row, until they answer a question again."""
    made: list[tuple[str | None, list[Any]]] = []
    kinds: set[type[Feedback]] = set()
    for said in feedback:
        results = [_result(answer, names) for answer in answers_of(said, group, _NAME)]
        if made and made[-1][0] == said.annotator_id and type(said) not in kinds:
            made[-1][1].extend(results)
        else:
            made.append((said.annotator_id, results))
            kinds = set()
        kinds.add(type(said))
    return made


def write(group: Group) -> dict[str, Any]:
    data, names = shown_fields(group, "answer", _NAME)
    predictions = predicted(group, _NAME)
    scale = common_scale((*group.feedback, *predictions), _NAME)
    kept = ("skipped_by", "predictions")
    columns = {name: value for name, value in group.columns.items() if name not in kept}
    extra_columns(Group(group.prompt, group.responses, (), columns), _OWN, "answer", _NAME)
    data |= columns
    if len(names) > 2:
        data["items"] = [{"id": name, "title": name.capitalize(), "body": data[name]} for name in names]
    if scale is not None:
        data["rating_scale"] = list(scale)
    skipped = group.columns.get("skipped_by") or []
    annotations = [
        {**_who(who), "was_cancelled": False, "result": results}
        for who, results in _sheets(group.feedback, group, names)
    ]
    annotations += [{**_who(who), "was_cancelled": True, "result": []} for who in skipped]
    made: dict[str, Any] = {"data": data, "annotations": annotations}
    if predictions:
        made["predictions"] = [
            {**({} if who is None else {"model_version": who}), "result": results}
            for who, results in _sheets(predictions, group, names)
        ]
    return made


def _object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{"))


def _sniff(row: Row) -> bool:
    return _object(row.get("data")) and ("annotations" in row or "predictions" in row)


FORMAT = Format(
    name=_NAME,
    needs=("data", "annotations"),
    summary="tasks of Label Studio: data, annotations, predictions",
    sniff=_sniff,
    read=read,
    write=write,
)


# ---- the labelling interface -----------------------------------------------------------------------------------------


def config(groups: Iterable[Group], *, kinds: Iterable[str] = ()) -> str:
    """The labelling interface (XML) for tasks of these groups: for what was said of them, and for `kinds` besides:
    preference, ranking, thumbs, critique, edit, or the name of an aspect to be rated.

    All groups must show as many responses: the interface names every one.
    """
    wanted, sizes, stars = dict.fromkeys(kinds), set(), 5
    for group in groups:
        sizes.add(len(group.responses))
        for said in (*group.feedback, *predicted(group, _NAME)):
            for answer in answers_of(said, group, _NAME):
                pair = "preference" if len(group.responses) == 2 else "ranking"
                names = {"ranking": pair, "thumb": "thumbs", "score": answer.aspect, "strength": pair, "margin": pair}
                wanted[names.get(answer.kind, answer.kind)] = None
            if isinstance(said, Scores) and said.scale is not None:
                stars = max(stars, int(said.scale[1]))
    if len(sizes) != 1 or 0 in sizes:
        found = ", ".join(map(str, sorted(sizes))) or "no"
        raise DataError(
            f"the groups have {found} responses, and an interface shows one number of them",
            remedy="Write those with as many responses to a file and a project of their own.",
        )
    answers = [f"answer{index}" for index in range(1, sizes.pop() + 1)]
    return "\n".join(["<View>", *(f"  {line}" for line in _tags(answers, list(wanted), stars)), "</View>", ""])


def _tag(tag: str, /, **attributes: str) -> str:
    return f"<{tag} {' '.join(f'{key}={quoteattr(value)}' for key, value in attributes.items())}/>"


def _choices(name: str, to: str, values: Iterable[str]) -> list[str]:
    opening = _tag("Choices", name=name, toName=to, choice="single", showInline="true").replace("/>", ">")
    return [opening, *(f"  {_tag('Choice', value=value)}" for value in values), "</Choices>"]


def _tags(names: list[str], wanted: list[str], stars: int) -> list[str]:
    lines = [
        _tag("Header", value="Prompt"),
        _tag("Paragraphs", name="prompt", value="$prompt", layout="dialogue", nameKey="role", textKey="content"),
    ]
    if "preference" in wanted:
        lines += [
            _tag("Header", value="Which answer is better?"),
            _tag("Pairwise", name="preference", toName=",".join(names[:2])),
            *_choices("preference_tie", names[0], ["tie"]),
            _tag("Number", name="strength", toName=names[0], min="0.5", max="1", step="0.01"),
            _tag("Number", name="margin", toName=names[0]),
        ]
    if "ranking" in wanted:
        ranker = _tag("Ranker", name="rank", toName="items")
        lines += [_tag("Header", value="Best first"), _tag("List", name="items", value="$items"), ranker]
    for name in names:
        lines += [_tag("Header", value=name.capitalize()), _tag("Text", name=name, value=f"${name}")]
        for kind in wanted:
            match kind:
                case "preference" | "ranking":
                    pass
                case "thumbs":
                    lines += _choices(f"thumb_{name}", name, ["up", "down"])
                case "critique" | "edit":
                    lines.append(_tag("TextArea", name=f"{kind}_{name}", toName=name, rows="3", editable="true"))
                case aspect:
                    lines += [
                        _tag("Header", value=aspect, size="5"),
                        _tag("Rating", name=f"{aspect}_{name}", toName=name, maxRating=str(stars)),
                    ]
    return lines

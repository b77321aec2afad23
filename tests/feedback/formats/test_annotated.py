"""What Label Studio and Argilla hold, both ways: whatever they can say is read back as it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.formats import Format
from truing.feedback.formats.annotated import as_predictions
from truing.group import Critique, Feedback, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels

TOOLS = ["label_studio", "argilla"]
WORDS = st.sampled_from(["yes", "", "good", "tie", "response1", "3", '<b a="1">', "a\nb", "ü"])
KINDS = [Ranking, Scores, Labels, Critique]


def some(draw: st.DrawFn, values: st.SearchStrategy[Any], size: int) -> tuple[Any, ...]:
    """One a response, at least one of them given."""
    found = draw(st.lists(st.none() | values, min_size=size, max_size=size))
    if all(each is None for each in found):
        found[draw(st.integers(0, size - 1))] = draw(values)
    return tuple(found)


def dense(ranks: Sequence[int | None]) -> tuple[int | None, ...]:
    places = sorted({r for r in ranks if r is not None})
    return tuple(None if r is None else places.index(r) + 1 for r in ranks)


@st.composite
def groups(draw: st.DrawFn) -> Group:
    size = draw(st.integers(1, 4))
    scale = draw(st.sampled_from([None, (0.0, 10.0)]))
    said: list[Feedback] = []
    for who in draw(st.lists(st.sampled_from(["7", "07", "ann@x.org", "ben"]), unique=True, max_size=3)):
        for kind in draw(st.lists(st.sampled_from(KINDS), unique=True, min_size=1, max_size=3)):
            if kind is Ranking and size == 2:
                about = draw(st.sampled_from([(None, None), (0.75, None), (None, 2.5), (1.0, -1.0)]))
                said.append(Ranking(draw(st.sampled_from([(1, 2), (2, 1), (1, 1)])), *about, annotator_id=who))
            elif kind is Ranking:
                said.append(Ranking(dense(some(draw, st.integers(1, 3), size)), annotator_id=who))
            elif kind is Scores:
                aspects = draw(st.lists(st.sampled_from(["clear", "overall", "strength"]), unique=True, min_size=1))
                values = {aspect: some(draw, st.integers(0, 10).map(float), size) for aspect in aspects}
                said.append(Scores(values, scale, who))
            elif kind is Labels:
                said.append(Labels(some(draw, st.booleans(), size), who))
            else:
                edits = some(draw, WORDS.map(Response.of), size) if draw(st.booleans()) else ()
                said.append(Critique(some(draw, WORDS, size), edits, who))
    columns = draw(st.dictionaries(st.sampled_from(["topic", "id"]), st.integers(0, 3), max_size=2))
    if draw(st.booleans()):
        columns["skipped_by"] = ["cem"]
    responses = tuple(Response.of(f"{draw(WORDS)} {i}") for i in range(size))
    return Group(Prompt.of("q", system=draw(st.sampled_from([None, "s"]))), responses, tuple(said), columns)


def ordered(group: Group) -> Group:
    return replace(group, feedback=tuple(sorted(group.feedback, key=lambda f: (type(f).__name__, str(f.annotator_id)))))


@pytest.mark.parametrize("name", TOOLS)
@settings(max_examples=200, deadline=None)
@given(group=groups())
def test_all_that_people_say_is_read_back(name: str, group: Group) -> None:
    format = formats.get(name)
    row = json.loads(json.dumps(format.write(group)))
    assert formats.recognised(row) is format
    found = format.read(row, "f:1")
    # Argilla lists answers by question, and not in the order in which people gave them.
    assert found == group if name == "label_studio" else ordered(found) == ordered(group)


@pytest.mark.parametrize("name", TOOLS)
@settings(max_examples=60, deadline=None)
@given(group=groups().filter(lambda g: len({said.annotator_id for said in g.feedback}) == 1))
def test_predictions_go_out_and_come_back_and_are_nobodys_judgement(name: str, group: Group) -> None:
    guessed = as_predictions(group)
    assert guessed.feedback == ()
    row = json.loads(json.dumps(formats.get(name).write(guessed)))
    found = formats.get(name).read(row, "f:1")
    assert found.feedback == ()
    by_kind = [sorted(map(json.dumps, g.columns["predictions"])) for g in (found, guessed)]
    assert by_kind[0] == by_kind[1]
    assert found.columns.keys() == guessed.columns.keys()


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Ranking((None, None)), "leaves a pair, or all, unranked"),
        (StepLabels(((1,), (1,))), "marks on steps"),
        (Labels((None, None)), "Labels that say nothing"),
        (Critique((None, None), (None, None)), "all of them empty"),
        (Scores({"clear": (1, 2), "kind": (None, None)}), "aspect `kind` without a score"),
    ],
)
def test_what_would_be_lost_is_refused(name: str, said: Feedback, words: str) -> None:
    group = Group(Prompt.of("q"), (Response.of("a"), Response.of("b")), (said,))
    with pytest.raises(DataError, match=words):
        formats.get(name).write(group)


@pytest.mark.parametrize("name", TOOLS)
def test_columns_that_would_be_taken_for_fields_are_refused(name: str) -> None:
    own = {"label_studio": ("answer2", "prompt", "items", "rating_scale"), "argilla": ("rating_scale",)}[name]
    for column in own:
        group = Group(Prompt.of("q"), (Response.of("a"),), (), {column: "x"})
        with pytest.raises(DataError, match=f"extra column `{column}`"):
            formats.get(name).write(group)
    for value in ("x", [1], [{"kind": "labels", "values": [True, True]}]):
        with pytest.raises(DataError, match="the column `predictions`"):
            formats.get(name).write(Group(Prompt.of("q"), (Response.of("a"),), (), {"predictions": value}))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 99)
    | st.floats()
    | st.sampled_from(["left", "answer1", "up", "\ud800", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rank", "value", "_", "place1"]), inner)
    ),
    max_leaves=5,
)
KEYS = ["selected", "ranker", "rating", "number", "choices", "text"]
RESULTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["pairwise", "ranker", "rating", "number", "choices", "textarea", "labels"]) | JSON,
        "value": st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3) | JSON,
        "from_name": st.sampled_from(["q", "strength", "edit_answer1", "q_answer2"]) | JSON,
        "to_name": st.sampled_from(["answer1", "answer2"]) | JSON,
    }
)
WHO = st.sampled_from([1, "ann", None, {"id": 3}, {}, True, 0.5])
STATUS = st.sampled_from([None, "submitted", "discarded", 3])
SHEETS = st.lists(
    st.fixed_dictionaries(
        {"completed_by": WHO, "result": st.lists(RESULTS, max_size=3), "was_cancelled": st.sampled_from([None, False])},
        optional={"model_version": WHO},
    ),
    max_size=2,
)
SENT = st.fixed_dictionaries({"value": JSON, "user_id": WHO, "status": STATUS})
OLD = st.fixed_dictionaries({"values": st.dictionaries(st.sampled_from(["q", "edit"]), SENT) | JSON, "user_id": WHO})
SAID = st.dictionaries(st.sampled_from(["ranking", "q", "edit_answer1", "strength"]), st.lists(SENT, max_size=2) | JSON)
GUESSES = st.dictionaries(st.sampled_from(["ranking", "q", "strength"]), st.fixed_dictionaries({"value": JSON}) | JSON)


def outcome(format: Format, row: dict[str, Any]) -> Group | DataError:
    try:
        return format.read(row, "f:1")
    except DataError as error:
        return error


SCALES = st.sampled_from([None, None, [1, 5], [5, 1], [1], "x", {}])


@settings(max_examples=300, deadline=None)
@given(sheets=SHEETS, said=SAID | st.lists(OLD), guesses=GUESSES, extra=SCALES)
def test_whatever_people_sent_is_a_group_or_an_error_with_place_and_remedy(
    sheets: Any, said: Any, guesses: Any, extra: Any
) -> None:
    data = {"prompt": "p", "answer1": "a", "answer2": "b", "rating_scale": extra}
    rows = {
        "label_studio": {"data": data, "annotations": sheets, "predictions": sheets},
        "argilla": {"fields": data, "responses": said, "suggestions": guesses, "metadata": {}},
    }
    for name, row in rows.items():
        format = formats.get(name)
        found = outcome(format, row)
        if isinstance(found, DataError):
            assert found.where == "f:1"
            assert found.remedy

"""What holds for every format: a group that it accepts is read back as the same group, from any container."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from truing import feedback
from truing.errors import DataError, RegistryError
from truing.feedback import formats
from truing.feedback.formats import Format
from truing.feedback.formats.cells import filled
from truing.group import Critique, Feedback, Group, Labels, Message, Prompt, Ranking, Response, Scores, StepLabels

WRITTEN = [name for name, format in formats.FORMATS.items() if format.writes]

# Hard cases for transcripts, CSV and JSON: markers, quotes, line breaks, white space, other scripts, emptiness.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "a",
        "",
        " ",
        " lead",
        "x\n\nHuman: y",
        "Assistant:",
        '"q",\r\nz',
        "[]",
        "[1, 2]",
        "true",
        "0",
        "ü – 字 🙂",
        "\0",
        "a\n\nb",
    ]
)
WORDS = st.sampled_from(["yes", "no", "perhaps so", "1 + 1\n\n= 2", "ü"])
ANNOTATORS = st.none() | st.sampled_from(["ann", "7"])
NUMBERS = st.floats(-5, 5).map(lambda x: round(x, 3))
COLUMNS = st.dictionaries(
    st.sampled_from(["topic", "tools", "input", "id"]),
    st.none() | st.booleans() | st.integers() | TEXTS | st.lists(st.dictionaries(st.just("name"), WORDS), max_size=2),
    max_size=2,
)


def messages(content: st.SearchStrategy[str], role: st.SearchStrategy[str]) -> st.SearchStrategy[Message]:
    return st.builds(Message, role, content)


ROLES = st.sampled_from(["user", "assistant", "system", "tool"])
PROMPTS = st.one_of(
    st.builds(Prompt.of, TEXTS | WORDS),
    st.builds(lambda text, system: Prompt.of(text, system=system), WORDS, WORDS),
    st.lists(messages(TEXTS | WORDS, ROLES), max_size=4).map(lambda turns: Prompt(tuple(turns))),
)
RESPONSES = st.one_of(
    st.builds(Response.of, TEXTS | WORDS),
    st.builds(Response.of, WORDS),
    st.lists(WORDS, min_size=1, max_size=3).map(Response.of_steps),
    st.lists(messages(WORDS, ROLES), min_size=1, max_size=3).map(
        lambda turns: Response((Message("assistant", "so"), *turns))
    ),
)


def dense(ranks: list[int | None]) -> tuple[int | None, ...]:
    """The same order, without gaps between the ranks."""
    places = sorted({r for r in ranks if r is not None})
    return tuple(None if r is None else places.index(r) + 1 for r in ranks)


def three(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=3, max_size=3)


MARKS = st.lists(three(st.sampled_from([1, 0, -1, None, -0.75, 2 * (5 / 6) - 1])), min_size=3, max_size=3)
RANKS = three(st.none() | st.integers(1, 3))
THUMBS = three(st.none() | st.booleans())
ASPECTS = st.dictionaries(st.sampled_from(["overall", "helpful", "brief"]), three(st.none() | NUMBERS), min_size=1)
TEXTS_3, EDITS = three(st.none() | WORDS), three(st.none() | RESPONSES)
SCALES, STRENGTHS = st.sampled_from([None, (-5.0, 5.0)]), st.sampled_from([None, 0.5, 0.75, 1.0])
MARGINS = st.none() | NUMBERS
KINDS = st.sampled_from([Ranking, Scores, Labels, StepLabels, Critique])


def said(draw: st.DrawFn, responses: tuple[Response, ...], kind: type[Feedback]) -> Feedback:
    """Feedback of a kind on up to three responses; strategies are made once, for three, as making them takes long."""
    size, who = len(responses), draw(ANNOTATORS)
    if kind is Ranking:
        about = (draw(STRENGTHS), draw(MARGINS)) if size == 2 else (None, None)
        return Ranking(dense(draw(RANKS)[:size]), *about, annotator_id=who)
    if kind is Scores:
        return Scores({a: tuple(v[:size]) for a, v in draw(ASPECTS).items()}, draw(SCALES), who)
    if kind is Labels:
        return Labels(tuple(draw(THUMBS)[:size]), who)
    if kind is StepLabels:
        marks = zip(draw(MARKS), responses, strict=False)
        return StepLabels(tuple(tuple(row[: len(r.steps) or 1]) for row, r in marks), who)
    return Critique(tuple(draw(TEXTS_3)[:size]), tuple(draw(EDITS)[:size]), who)


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """Any group: most formats refuse most of them, and `group` none."""
    responses = tuple(draw(st.lists(RESPONSES, max_size=3)))
    kinds = draw(st.lists(KINDS, max_size=2)) if responses else []
    return Group(draw(PROMPTS), responses, tuple(said(draw, responses, kind) for kind in kinds), draw(COLUMNS))


@functools.cache
def fitting(name: str) -> st.SearchStrategy[Group]:
    """Groups that the format should accept."""
    talk = st.lists(WORDS, min_size=1, max_size=5).filter(lambda t: len(t) % 2 == 1)
    dialogues = talk.map(lambda t: Prompt(tuple(Message(("user", "assistant")[i % 2], w) for i, w in enumerate(t))))
    single = st.builds(Prompt.of, WORDS)
    multi = st.builds(
        lambda one, ask, two: Response((Message("assistant", one), Message("user", ask), Message("assistant", two))),
        WORDS, WORDS, WORDS,
    )  # fmt: skip
    answer = st.builds(Response.of, WORDS)
    steps = st.lists(WORDS, min_size=1, max_size=3).map(Response.of_steps)
    extra = st.dictionaries(st.sampled_from(["topic", "tools"]), st.integers() | WORDS | st.lists(WORDS), max_size=2)
    makers: dict[str, tuple[Any, Any, int, type[Any] | None]] = {
        "messages": (single, answer | multi, 1, None),
        "sharegpt": (single, answer | multi, 1, None),
        "alpaca": (single, answer, 1, None),
        "text": (st.just(Prompt()), answer, 1, None),
        "prompt": (dialogues, answer, 0, None),
        "prompt_completion": (dialogues, answer | multi, 1, None),
        "unpaired": (dialogues, answer | multi, 1, Labels),
        "stepwise": (dialogues, steps, 1, StepLabels),
        "preference": (dialogues, answer | multi, 2, Ranking),
        "hh": (dialogues, answer | multi, 2, Ranking),
        "red_team": (single, answer | multi, 1, Scores),
        "ranking": (dialogues, answer | multi, 3, Ranking),
        "scores": (dialogues, answer | multi, 3, Scores),
        "group": (dialogues, answer | steps, 2, Critique),
        "label_studio": (dialogues, answer, 3, Ranking),
        "argilla": (dialogues, answer, 3, Labels),
    }
    prompts, responses, size, kind = makers[name]

    @st.composite
    def made(draw: st.DrawFn) -> Group:
        answers = tuple(draw(st.lists(responses, min_size=size, max_size=size)))
        told: tuple[Feedback, ...] = ()
        if name == "red_team":
            told = (Scores({"red_team_success": (draw(st.integers(0, 4).map(float)),)}, (0.0, 4.0)),)
        elif kind is Ranking and size == 2:
            if name == "hh":  # a transcript cannot say where a prompt ends that is followed by equal turns
                assume(answers[0].messages[0] != answers[1].messages[0])
            assume(answers[0] != answers[1])
            told = (Ranking((1, 2), draw(st.sampled_from([None, 0.8])), annotator_id=draw(ANNOTATORS)),)
        elif kind is not None:
            told = (said(draw, answers, kind),)
            assume(not isinstance(told[0], Labels) or set(told[0].values) != {None})
            assume(not isinstance(told[0], Ranking) or any(told[0].ranks))
        return Group(draw(prompts), answers, told, draw(extra))

    return made()


def meaning(group: Group) -> Group:
    """The group with the better of a pair first, and equal responses tied: pairs are written so. A blank `input` is
    none."""
    if not filled(group.columns, "input"):
        group = replace(group, columns={k: v for k, v in group.columns.items() if k != "input"})
    if len(group.feedback) == 1 and len(group.responses) == 2 and isinstance(group.feedback[0], Ranking):
        told = group.feedback[0]
        if told.ranks == (2, 1):
            told = replace(told, ranks=(1, 2))
            group = replace(group, responses=group.responses[::-1], feedback=(told,))
        if group.responses[0] == group.responses[1] and None not in told.ranks:
            group = replace(group, feedback=(replace(told, ranks=(1, 1)),))
    return group


def kind_and_name(said: Feedback) -> tuple[str, str]:
    return type(said).__name__, str(said.annotator_id)


@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_what_fits_is_written_recognised_and_read_back(name: str, data: st.DataObject) -> None:
    group = data.draw(fitting(name))
    format = formats.get(name)
    row = json.loads(json.dumps(format.write(group)))
    assert formats.recognised(row) is format
    assert format.read(row, "f:1") == group


@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=100, deadline=None)
@given(group=groups())
def test_any_group_is_refused_or_read_back_as_what_it_was(name: str, group: Group) -> None:
    format = formats.get(name)
    try:
        row = json.loads(json.dumps(format.write(group)))
    except DataError:
        assert name != "group"
        return
    found = format.read(row, "f:1")
    if name == "argilla":  # which lists answers by question, and not in the order in which people gave them
        found, group = (replace(g, feedback=tuple(sorted(g.feedback, key=kind_and_name))) for g in (found, group))
    assert found == group or meaning(found) == meaning(group)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(["user", "assistant", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "kind", "ranks", "messages"]), inner)
    ),
    max_leaves=6,
)


def outcome(work: Callable[[], Any]) -> Any:
    """What comes of it, or the refusal."""
    try:
        return work()
    except DataError as error:
        return error


OPTIONAL = ["strength", "margin", "annotator_id", "scale", "input", "system", "history", "feedback", "prompt"]


@functools.cache
def hostile(name: str) -> st.SearchStrategy[dict[str, Any]]:
    needs = dict.fromkeys(formats.get(name).needs, JSON)
    return st.fixed_dictionaries(needs, optional={n: JSON for n in OPTIONAL if n not in needs})


@pytest.mark.parametrize("name", formats.FORMATS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_a_row_holds_it_is_a_group_or_a_data_error_with_place_and_remedy(
    name: str, data: st.DataObject
) -> None:
    format = formats.get(name)
    row = data.draw(hostile(name))
    found = outcome(lambda: format.read(row, "f:1"))
    if isinstance(found, DataError):
        assert found.where == "f:1"
        assert found.found
        assert found.remedy
    else:
        assert isinstance(found, Group)


@pytest.mark.parametrize("kind", ["jsonl.gz", "json", "csv", "parquet"])
@pytest.mark.parametrize("name", WRITTEN)
@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_format_survives_every_container(tmp_path: Path, name: str, kind: str, data: st.DataObject) -> None:
    made = [data.draw(fitting(name)) for _ in range(3)]
    # Other columns in CSV are text, and in Parquet every row has them all.
    made = [replace(group, columns={"topic": "x"}) for group in made]
    path = tmp_path / f"f.{kind}"
    refused = outcome(lambda: feedback.write(made, path, name))
    if isinstance(refused, DataError):
        # null, true and "neutral" in one list, or two kinds of feedback
        assert kind == "parquet"
        assert "Parquet cannot hold" in refused.found
        return
    assert feedback.sniff(path).name == name
    assert feedback.read_all(path) == made


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name not in WRITTEN])
def test_a_layout_that_is_only_read_refuses_to_write_and_names_one_that_holds_every_group(name: str) -> None:
    with pytest.raises(DataError, match=f"does not fit format `{name}`\n.*format `group` holds every group"):
        formats.get(name).write(Group(Prompt.of("p"), (Response.of("a"),)))


def test_a_format_of_ones_own_is_asked_first() -> None:
    own = Format(
        name="question_answer",
        needs=("question", "answer"),
        summary="questions",
        sniff=lambda row: "question" in row,
        read=lambda row, where: Group(Prompt.of(row["question"]), columns={"answer": row["answer"]}),
        write=lambda group: {"question": group.prompt.text, **group.columns},
    )
    formats.register(own)
    try:
        assert formats.sniff({"question": "2 + 2", "answer": "4", "prompt": "x"}, "f:1") is own
        with pytest.raises(RegistryError, match="already defined"):
            formats.register(own)
    finally:
        del formats.FORMATS["question_answer"]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_says_what_it_is(name: str) -> None:
    format = formats.get(name)
    assert format.name == name
    assert all(column in format.summary or name == "hh" for column in format.needs)


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_is_in_the_docs(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in page

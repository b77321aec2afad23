"""The report on a file, as a user meets it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from truing import feedback
from truing.cli import app
from truing.errors import DataError
from truing.feedback.agreement import agreement
from truing.group import Feedback, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels


def pairs(said: dict[str, str], **columns: Any) -> list[Group]:
    """A pair a letter: f the first, s the second, t a tie, - not judged; a string an annotator."""
    ranks = {"f": (1, 2), "s": (2, 1), "t": (1, 1)}
    number = len(next(iter(said.values())))
    return [
        Group(
            Prompt.of(f"question {i}"),
            (Response.of("a"), Response.of("b")),
            tuple(Ranking(ranks[told[i]], annotator_id=who) for who, told in said.items() if told[i] != "-"),
            {name: values[i] for name, values in columns.items()},
        )
        for i in range(number)
    ]


def saved(tmp_path: Path, groups: list[Group]) -> Path:
    feedback.write(groups, tmp_path / "f.jsonl", "group")
    return tmp_path / "f.jsonl"


def test_two_annotators_by_hand(tmp_path: Path) -> None:
    # Same on 7 of 8. ann: 4 f, 4 s; ben: 4 f, 3 s, 1 t. P_e = 1/2·1/2 + 1/2·3/8 = 7/16; κ = (14/16 − 7/16) / (9/16).
    path = saved(tmp_path, pairs({"ann": "ffffssss-", "ben": "ffffssstf"}))
    (found,) = agreement(path).questions
    assert (found.name, found.num_items, found.num_shared, found.num_ratings) == ("preference", 9, 8, 17)
    assert found.headline == "cohen"
    assert found.overall["cohen"].value == pytest.approx(7 / 9)
    assert found.overall["percent"].value == pytest.approx(7 / 8)


def test_where_people_part_is_said(tmp_path: Path) -> None:
    said = {"ann": "ffffff", "ben": "ffffss", "cem": "fffftt"}
    path = saved(tmp_path, pairs(said, topic=["x", "x", "x", "x", "y", "y"]))
    (found,) = agreement(path, by="topic").questions
    assert found.headline == "fleiss"
    assert found.by == {"y": (2, 0.0), "x": (4, 1.0)}
    assert found.confusions == {"first / second": 2, "first / tie": 2, "second / tie": 2}
    assert [each.where for each in found.differences] == [f"{path}:5", f"{path}:6"]
    assert found.differences[0].said == {"ann": "first", "ben": "second", "cem": "tie"}
    assert [(p.first, p.second, p.num_items) for p in found.pairs] == [
        ("ann", "ben", 6),
        ("ann", "cem", 6),
        ("ben", "cem", 6),
    ]
    # ann always says the same: by chance ben would agree as often. κ is 0 and not undefined.
    assert found.pairs[0].kappa is not None
    assert found.pairs[0].kappa.value == pytest.approx(0.0)
    assert [a.same for a in found.annotators] == pytest.approx([2 / 3, 2 / 3, 2 / 3])


def group_of(*said: Feedback, responses: int = 2, prompt: str = "q") -> Group:
    return Group(Prompt.of(prompt), tuple(Response.of(f"r{i}") for i in range(responses)), said)


def test_scores_are_numbers_and_their_target_is_interval_alpha(tmp_path: Path) -> None:
    scores = [((1.0, 2.0), (1.0, 2.0)), ((5.0, 4.0), (4.0, 4.0)), ((3.0, 3.0), (3.0, 2.0))]
    groups = [
        group_of(Scores({"clear": a}, (1, 5), "ann"), Scores({"clear": b}, (1, 5), "ben"), prompt=f"q{i}")
        for i, (a, b) in enumerate(scores)
    ]
    (found,) = agreement(saved(tmp_path, groups)).questions
    assert found.headline == "alpha_interval"
    # 12 ratings: 1 1 2 2 5 4 4 4 3 3 3 2, sum 34, squares 114. Within: 2 of distance 1, so D_o = 2 · 2/12.
    # D_e = 2 (12 · 114 − 34²) / 132.
    assert found.overall["alpha_interval"].value == pytest.approx(1 - (4 / 12) / (2 * (12 * 114 - 34**2) / 132))
    assert found.overall["alpha_interval"].interval.n == 3
    assert found.pairs[0].weighted is not None


def test_numbers_of_many_kinds_have_no_kappa(tmp_path: Path) -> None:
    groups = [
        group_of(Scores({"s": (i / 7,)}, None, who), responses=1, prompt=f"q{i}") for i in range(30) for who in "ab"
    ]
    report = agreement(saved(tmp_path, groups))
    (found,) = report.questions
    assert set(found.overall) == {"alpha_interval"}
    assert found.overall["alpha_interval"].value == pytest.approx(1.0)
    assert found.pairs[0].kappa is None
    assert "Cohen" not in report.text()


def test_thumbs_and_steps_and_what_nobody_shared(tmp_path: Path) -> None:
    groups = [
        group_of(Labels((True, False), "ann"), Labels((True, True), "ben")),
        group_of(StepLabels(((1, -1), (0,)), "ann"), StepLabels(((1, 1), (0,)), "ben"), prompt="s"),
        group_of(Ranking((1, 2), annotator_id="ann"), prompt="r"),
    ]
    report = agreement(saved(tmp_path, groups))
    assert [(q.name, q.num_shared) for q in report.questions] == [("thumbs", 2), ("steps", 3)]
    assert report.lonely == {"preference": 1}
    assert report.questions[1].differences[0].part == "response 1, step 2"
    assert "preference: 1 items, none judged by two" in report.text()


def test_one_answer_for_all_is_said_to_prove_nothing(tmp_path: Path) -> None:
    report = agreement(saved(tmp_path, pairs({"ann": "fff", "ben": "fff"})))
    assert report.questions[0].met(0.6) is None
    assert math.isnan(report.questions[0].overall["cohen"].value)
    assert "cannot be said: all ratings are the same, and chance alone agrees as often" in report.text()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"ann": "ffs"}, "nobody judged what somebody else judged: 3 items by 1 annotator\n.*two people"),
        ({"ann": "ff--", "ben": "--ss"}, "4 items by 2 annotators\n.*the same to the letter"),
    ],
)
def test_without_overlap_the_error_says_what_to_do(tmp_path: Path, said: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        agreement(saved(tmp_path, pairs(said)))


def test_without_names_and_without_feedback_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to compare: 1 without `annotator_id`"):
        agreement(saved(tmp_path, [group_of(Ranking((1, 2)))]))
    with pytest.raises(DataError, match="its 1 groups hold no feedback"):
        agreement(saved(tmp_path, [group_of()]))


def test_the_verb_prints_a_table_and_json(tmp_path: Path) -> None:
    path = saved(tmp_path, pairs({"ann": "fsfsfsfst", "ben": "fsfsfsfst", "cem": "fsfsfsfff"}))
    run = CliRunner().invoke(app, ["feedback", "agreement", str(path), "--target", "0.5"])
    assert run.exit_code == 0
    for words in ("Fleiss' kappa", "ann, ben", "target 0.5 for Fleiss' kappa: met", "most disputed"):
        assert words in run.stdout
    run = CliRunner().invoke(app, ["feedback", "agreement", str(path), "--json"])
    made = json.loads(run.stdout)
    assert made["questions"][0]["met"] is True
    assert made["questions"][0]["overall"]["fleiss"]["value"] > 0.6
    assert made["questions"][0]["pairs"][0]["kappa"]["value"] == 1.0


def test_names_of_strangers_do_not_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path, pairs({"\x1b[2J": "fs", "b" * 999: "ff"}))
    text = agreement(path).text()
    assert "\x1b" not in text
    assert "?[2J, bbb" in text
    assert max(map(len, text.splitlines())) < 300


def test_the_verb_compares_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,a,b\nx,yes,yes\ny,no,no\nz,yes,no\n")
    run = CliRunner().invoke(app, ["feedback", "agreement", str(path), "--columns", "a,b"])
    assert "66.7%" in run.stdout
    assert "no / yes: 1 (100%)" in run.stdout
    path.write_text("a,b\n1,1\n3,3\n5,4\n")
    run = CliRunner().invoke(app, ["feedback", "agreement", str(path), "--columns", "a,b", "--level", "ordinal"])
    assert "target 0.6 for alpha, ordinal: met" in run.stdout
    path.write_text("text,a,b\nx,yes,yes\n")
    for wrong in (["--columns", "a"], ["--level", "ratio"], ["--columns", "a,b", "--item", "text"]):
        assert CliRunner().invoke(app, ["feedback", "agreement", str(path), *wrong]).exit_code != 0

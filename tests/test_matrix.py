"""Every kind of feedback in a file against every recipe that trains from files.

A cell trains, or it is refused with the reason; a conversion that is named then exists, and what it makes trains.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from truing import recipe
from truing.checks import check
from truing.errors import DataError, TruingError
from truing.feedback.convert import KINDS, Options, convert
from truing.update import Updater
from truing.wire import Run, wire

NUMBER = 8
ANSWERS = ("a red cat", "the old dog ran", "it was bad")


def _rows(kind: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for i in range(NUMBER):
        answers = [f"{answer} {i}" for answer in ANSWERS]
        said: dict[str, Any] = {
            "demonstrations": {"completion": answers[0]},
            "pairs": {"chosen": answers[0], "rejected": answers[1]},
            "rankings": {"responses": answers, "ranking": [1, [0, 2]]},
            "scores": {"responses": answers, "scores": [4.0, 2.0, 3.0]},
            "labels": {"completion": answers[i % 2], "label": i % 2 == 0},
            "step labels": {"completions": answers, "labels": [True, True, i % 2 == 0]},
            "critiques": {
                "responses": answers[:1],
                "feedback": [{"kind": "critique", "texts": ["say more"], "edits": answers[1:2]}],
            },
        }[kind]
        # Two rows in a row share their prompt, so that thumbs on the same one can be put together.
        made.append({"prompt": f"the moon {i // 2}", **said})
    return made


KINDS_OF_FILES = ("demonstrations", "pairs", "rankings", "scores", "labels", "step labels", "critiques")
OFFLINE = [name for name in recipe.names() if not recipe.load(name).online]
# Which streams of feedback a file of each kind gives. Losses that read none of them imitate.
GIVES: dict[str, set[str]] = {
    "demonstrations": set(),
    "pairs": {"chosen", "rejected", "strength", "margin", "ranks"},
    "rankings": {"chosen", "rejected", "strength", "margin", "ranks"},
    "scores": {"scores", "aspect_scores"},
    "labels": {"labels"},
    "step labels": {"step_labels"},
    "critiques": set(),
}
FEEDBACK = set().union(*GIVES.values())


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    made = {}
    for kind in KINDS_OF_FILES:
        made[kind] = folder / f"{kind.replace(' ', '_')}.jsonl"
        made[kind].write_text("".join(json.dumps(row) + "\n" for row in _rows(kind)), encoding="utf-8")
    return made


def _recipe(name: str, model: Path, data: Path) -> recipe.Recipe:
    overrides = {"model.path": str(model), "data.train": str(data), "batch_size": NUMBER, "validation_share": 0.0}
    return recipe.load(name, {**overrides, "learning_rate": 1e-3, "warmup": 0.0})


def _one_step(run: Run) -> dict[str, float]:
    assert isinstance(run.updater, Updater)
    return run.updater.step(run.experience.batch(0), 0)


@pytest.mark.parametrize("kind", KINDS_OF_FILES)
@pytest.mark.parametrize("name", OFFLINE)
def test_every_kind_of_feedback_trains_or_is_refused_with_a_way_out(
    name: str, kind: str, files: dict[str, Path], toy_folder: Path, tmp_path: Path
) -> None:
    chosen = _recipe(name, toy_folder, files[kind])
    loss, _, _ = check(chosen)
    if loss.reads & FEEDBACK <= GIVES[kind]:
        numbers = _one_step(wire(chosen))
        assert numbers["grad_norm"] > 0, "it learns something"
        return
    with pytest.raises(TruingError) as refused:
        wire(chosen)
    assert isinstance(refused.value, DataError)
    said = str(refused.value)
    assert f"{files[kind]}:1" in said, "the place"
    wanted = re.search(r"reads `(\w+)`, which needs ([a-z ]+); this row has", said)
    assert wanted is not None, said
    advised = re.search(r"Recipes for what it has: ([a-z_, ]+)\.", said)
    assert advised is not None, said
    for other in advised[1].split(", "):
        reads = check(_recipe(other, toy_folder, files[kind]))[0].reads
        assert reads & FEEDBACK <= GIVES[kind], f"recipe {other} does not read {kind}"
    source = files[kind]
    for number, target in enumerate(re.findall(r"--to ([a-z_]+)", said)):  # each of what the one before made
        assert target in KINDS
        converted = tmp_path / f"{number}.jsonl"
        convert(source, converted, to=target, options=Options(threshold=3.0 if kind == "scores" else None))
        source = converted
    if source != files[kind]:
        assert _one_step(wire(_recipe(name, toy_folder, source)))["grad_norm"] > 0


@pytest.mark.parametrize(
    ("kind", "name", "target"),
    [
        ("scores", "dpo", "pairs"),
        ("scores", "plackett_luce", "rankings"),
        ("scores", "kto", "labels --threshold NUMBER"),
        ("pairs", "kto", "labels"),
        ("rankings", "reward_labels", "labels"),
        ("labels", "dpo", "pairs"),
        ("step labels", "kto", "labels"),
        ("critiques", "dpo", "pairs"),
        ("critiques", "plackett_luce", "pairs"),
    ],
)
def test_a_conversion_that_helps_is_named(
    kind: str, name: str, target: str, files: dict[str, Path], toy_folder: Path
) -> None:
    with pytest.raises(DataError, match=rf"`truing feedback convert --to {target}`"):
        wire(_recipe(name, toy_folder, files[kind]))


@pytest.mark.parametrize("name", ["dpo", "kto", "rebel", "plackett_luce", "reward_scores", "process_reward"])
def test_no_conversion_is_named_where_none_would_help(name: str, files: dict[str, Path], toy_folder: Path) -> None:
    with pytest.raises(DataError) as refused:
        wire(_recipe(name, toy_folder, files["demonstrations"]))
    assert "this row has no feedback" in str(refused.value)
    assert "Recipes for what it has: sft." in str(refused.value)
    assert "--to" not in str(refused.value)


@pytest.mark.parametrize(("name", "target"), [("kto", "labels"), ("rebel", "scores")])
def test_a_correction_becomes_thumbs_or_scores_by_way_of_a_pair(
    name: str, target: str, files: dict[str, Path], toy_folder: Path
) -> None:
    way = rf"`truing feedback convert --to pairs`, and of these pairs `--to {target}`"
    with pytest.raises(DataError, match=way):
        wire(_recipe(name, toy_folder, files["critiques"]))


def test_a_critique_without_a_correction_is_asked_for_one(toy_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "words.jsonl"
    row = {"prompt": "the moon", "responses": ["a red cat"], "feedback": [{"kind": "critique", "texts": ["say more"]}]}
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"this row has critique.*\n?.*`edits` of the critique"):
        wire(_recipe("dpo", toy_folder, data))

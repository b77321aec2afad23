from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from truing import feedback, recipe
from truing.errors import DataError, RecipeError
from truing.explain import explain
from truing.group import Ranking, Scores
from truing.record import read_record
from truing.registry import use_file
from truing.rounds.run import check, of_round
from truing.train import train

CODE = """
from truing.registry import reward

@reward
def brief(prompts, completions):
    return [-float(len(c)) for c in completions]

@reward
def silent(prompts, completions):
    return [None for _ in completions]

@reward
def wants_answer(prompts, completions, *, solution):
    return [0.0 for _ in completions]
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "rounds_rewards.py"
    file.write_text(CODE)
    use_file(file)
    return file


def _settings(model: Path, data: Path, **more: Any) -> dict[str, Any]:
    return {
        "model.path": str(model), "data.train": str(data), "data.validation_share": 0.4, "rewards": ["brief"],
        "rounds.number": 2, "rounds.prompts": 12, "rounds.stop_when": "never", "rounds.evaluation_samples": 2,
        "rollouts.group_size": 6, "rollouts.prompts_per_step": 5, "rollouts.max_new_tokens": 8,
        "rollouts.missing_end_penalty": 0.0, "update.learning_rate": 3e-3, "update.batch_size": 4,
        "update.warmup": 0.0, "update.epochs": 2,
    } | more  # fmt: skip


def _recipe(name: str, model: Path, data: Path, **more: Any) -> recipe.Recipe:
    return recipe.load(name, _settings(model, data, **more))


@pytest.fixture(scope="module")
def done(toy_folder: Path, prompts: Path, code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two whole rounds."""
    out = tmp_path_factory.mktemp("rounds") / "run"
    train(_recipe("iterative_dpo", ending(toy_folder, out.parent), prompts), out)
    return out


def ending(folder: Path, to: Path) -> Path:
    """The toy model, likelier to end its turn: of a random one nearly every response is cut."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        # A token's logit is the product of its row with the state: now eight times as far from 0, above or below.
        model.get_input_embeddings().weight[2] *= 8
    place = to / "ending"
    model.save_pretrained(place)
    AutoTokenizer.from_pretrained(folder).save_pretrained(place)
    return place


def _weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def _same(one: Path, other: Path) -> bool:
    a, b = _weights(one), _weights(other)
    return a.keys() == b.keys() and all(bool((a[name] == b[name]).all()) for name in a)


def test_each_round_leaves_its_samples_its_selection_its_run_and_its_evaluation(done: Path) -> None:
    assert (done / "round-0" / "evaluation.json").exists()
    for number in (1, 2):
        found = {p.name for p in (done / f"round-{number}").iterdir()}
        assert found == {"groups.jsonl", "train.jsonl", "run", "evaluation.json"}
        assert (done / f"round-{number}" / "run" / "model" / "config.json").exists()
    assert [line["step"] for line in read_record(done)] == [0, 1, 2]


def test_every_sample_is_kept_with_its_reward_and_where_it_came_from(done: Path, code: Path) -> None:
    groups = feedback.read_all(done / "round-2" / "groups.jsonl")
    assert len(groups) == 12
    for group in groups:
        assert len(group.responses) == 6
        origin = group.columns["provenance"]
        assert (origin["round"], origin["temperature"]) == (2, 1.0)
        assert origin["model"] == str(done / "round-1" / "run" / "model")
        assert origin["rewards"] == [{"brief": {}, "weight": 1.0}]
        assert len(origin["finished"]) == 6
        (said,) = group.said(Scores)
        assert said.values["overall"] == tuple(-float(len(r.text)) for r in group.responses)


def test_the_best_and_the_worst_are_trained_on(done: Path) -> None:
    pairs = feedback.read_all(done / "round-1" / "train.jsonl")
    assert 1 <= len(pairs) <= 12
    for pair in pairs:
        better, worse = (len(r.text) for r in pair.responses)
        assert better < worse
        assert pair.said(Ranking) == (Ranking.pair(margin=float(worse - better)),)
        assert "provenance" not in pair.columns


def test_rounds_take_the_next_prompts_and_never_the_held_out_ones(done: Path, prompts: Path) -> None:
    asked = [[g.prompt.text for g in feedback.read(done / f"round-{n}" / "groups.jsonl")] for n in (1, 2)]
    assert not set(asked[0]) & set(asked[1]), "24 prompts are left, 12 a round"
    assert len(json.loads((done / "round-0" / "evaluation.json").read_text())["rewards"]) == 16


def test_the_held_out_reward_rises_and_the_best_model_is_kept(done: Path) -> None:
    record = read_record(done)
    rewards = [line["reward"] for line in record]
    assert record[2]["gain_over_first/low"] > 0
    assert record[2]["kl"] > record[1]["kl"] > 0
    result = json.loads((done / "result.json").read_text())
    best = int(result["metrics"]["round"])
    assert best > 0
    assert result["metrics"]["reward"] == rewards[best]
    assert _same(done / "model", done / f"round-{best}" / "run" / "model")
    assert any(note.startswith(f"model/ is round {best}'s") for note in result["notes"])
    assert "all 2 rounds are done" in result["notes"]


def test_a_finished_run_says_so_and_does_nothing(done: Path, prompts: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()}
    heard: list[str] = []
    again = train(recipe.load(done / "recipe.yaml"), done, resume=True, hear=heard.append)
    assert heard == [f"this run was finished before, after {again.steps} steps: nothing is left to do"]
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()} == before


def _cut(run: Path, gone: list[str]) -> None:
    for name in ["result.json", "model", *gone]:
        path = run / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


ROUND_2 = ["round-2/evaluation.json", "round-2/run", "round-2/train.jsonl"]


@pytest.mark.parametrize(
    "gone",
    [[], ROUND_2[:1], ROUND_2[:2], ROUND_2, [*ROUND_2, "round-2/groups.jsonl"]],
    ids=["publishing", "evaluating", "training", "selecting", "sampling"],
)
def test_a_run_that_was_cut_anywhere_ends_as_one_that_was_not(done: Path, tmp_path: Path, gone: list[str]) -> None:
    # The run in its own place, because models are named by it.
    kept = tmp_path / "kept"
    shutil.copytree(done, kept)
    try:
        samples = (done / "round-2" / "groups.jsonl").read_bytes()
        _cut(done, gone)
        if "round-2/groups.jsonl" in gone:
            # Seven whole lines and half a one: five are a batch that was done.
            lines = samples.splitlines(keepends=True)
            (done / "round-2" / "groups.jsonl.part").write_bytes(b"".join(lines[:7]) + lines[7][:20])
        train(recipe.load(done / "recipe.yaml"), done, resume=True)
        assert (done / "round-2" / "groups.jsonl").read_bytes() == samples
        assert _same(done / "model", kept / "model")
        assert _same(done / "round-2" / "run" / "model", kept / "round-2" / "run" / "model")
        assert (done / "record.jsonl").read_text() == (kept / "record.jsonl").read_text()
        assert not list(done.rglob("*.part"))
    finally:
        shutil.rmtree(done)
        shutil.copytree(kept, done)


def test_a_run_killed_while_it_trains_goes_on(done: Path, prompts: Path, code: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "run", tmp_path / "my.yaml"
    file.write_text(recipe.dump(recipe.load(done / "recipe.yaml")).replace("name: iterative_dpo", "name: my"))
    command = [sys.executable, "-m", "truing.cli", "train", str(file), "--use", str(code), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        until = time.monotonic() + 600
        while not (out / "round-1" / "train.jsonl").exists():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not (out / "result.json").exists()
    train(recipe.load(file), out, resume=True)
    assert _same(out / "model", done / "model")


def test_rejection_sampling_imitates_the_best_of_every_round_so_far(
    done: Path, prompts: Path, code: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(_recipe("rejection_sampling", done.parent / "ending", prompts), out)
    one, two = (feedback.read_all(out / f"round-{n}" / "train.jsonl") for n in (1, 2))
    assert all(len(group.responses) == 1 and not group.feedback for group in two)
    assert two[: len(one)] == one, "train_on: every"
    assert read_record(out)[2]["gain_over_first/low"] > 0


def test_a_model_that_went_too_far_is_not_kept(done: Path, prompts: Path, code: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = done.parent / "ending"
    result = train(_recipe("iterative_dpo", first, prompts, **{"rounds.max_kl": 1e-6}), out)
    assert not (out / "round-2").exists()
    assert any("more than rounds.max_kl" in note for note in result.notes)
    assert any("that the rounds began with" in note for note in result.notes)
    assert _same(out / "model", first)
    assert result.metrics["round"] == 0


# ---- recipes -------------------------------------------------------------------------------------------------------


def test_a_round_trains_from_the_last_or_the_first_model_against_either(toy_folder: Path, prompts: Path) -> None:
    def made(**said: str) -> tuple[str | None, str | None]:
        chosen = _recipe("iterative_dpo", toy_folder, prompts, **{f"rounds.{k}": v for k, v in said.items()})
        inner = of_round(chosen, "last", "first", "data.jsonl", 7)
        assert (inner.rounds, inner.rollouts, inner.rewards, inner.seed) == (None, None, [], 7)
        assert inner.data.validation_share == 0
        return inner.model.path, inner.model.reference

    assert made() == ("last", None), "no reference of its own: the model as the round begins"
    assert made(refer_to="first") == ("last", "first")
    same = of_round(_recipe("iterative_dpo", toy_folder, prompts, **{"rounds.refer_to": "first"}), "a", "a", None, 0)
    assert same.model.reference is None, "the first model is loaded once"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"rewards": []}, "nothing says which are good"),
        ({"rounds.select": "best"}, "reads `chosen`, which rounds.select = best does not give"),
        ({"model.path": None}, "`model.path` is not given"),
        ({"data.train": None}, "`data.train` is not given"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_loaded(
    toy_folder: Path, prompts: Path, code: Path, said: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        check(_recipe("iterative_dpo", toy_folder, prompts, **said))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"rollouts": None}, "`rounds` need `rollouts`"),
        ({"data.validation_share": 0.0}, "rounds are judged on held-out prompts"),
        ({"advantage": "group_mean"}, "learn from files: no advantage"),
        ({"rollouts.refill": 2}, "rollouts.refill = 2 has no meaning in rounds"),
        ({"combination.normalise": "batch"}, "have to mean the same in each"),
        ({"model.reference": "x"}, "chosen by rounds.refer_to"),
        ({"rollouts.group_size": 1}, "there is nothing to compare"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe.load("iterative_dpo", said)


def test_a_reward_that_says_nothing_or_needs_a_column_that_is_not_there(
    toy_folder: Path, prompts: Path, code: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no reward speaks of any of the 16 held-out prompts"):
        train(_recipe("iterative_dpo", toy_folder, prompts, rewards=["silent"]), tmp_path / "a")
    with pytest.raises(DataError, match="reads the column `solution`, which no row has"):
        train(_recipe("iterative_dpo", toy_folder, prompts, rewards=["wants_answer"]), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_explain_says_what_a_round_does() -> None:
    text = explain(recipe.load("iterative_dpo", ["rounds.max_kl=5", "rounds.prompts=100"]))
    for words in (
        "at most 3; each:",
        "8 responses of the last round's model for 100 prompts",
        "1 pair(s) a prompt, the best against the worst",
        "on 10% of the prompts, held out",
        "or when it is more than 5 nats from the first model",
        "ref_logprobs",
        "the reference (frozen copy)",
    ):
        assert words in text
    assert "the reference (the model that the rounds began with)" in explain(
        recipe.load("iterative_dpo", ["rounds.refer_to=first"])
    )

from __future__ import annotations

from pathlib import Path

import pytest

from truing import recipe
from truing.checks import check
from truing.errors import DataError, RecipeError
from truing.experience.offline import trees
from truing.experience.stored import StoredTrees
from truing.wire import read_groups, wire


def _load(tmp_path: Path, text: str, **overrides: object) -> recipe.Recipe:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return recipe.load(file, {"model.path": "model", "data.train": "data.jsonl", **overrides})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("objectives: [ppo_clip]", "reads `advantages`, which only sampled responses have"),
        ("objectives: [dpo]\nrollouts: {}\nrewards: [model]\nupdate: {steps: 1}", "setting `path`"),
        ("objectives: [bradley_terry, sft]", "`rewards` and `logprobs` exclude each other"),
        ("objectives: [process_reward, sft]", "`token_rewards` and `logprobs` exclude each other"),
        ("objectives: [bradley_terry, token_reward]", r"read one reward head as different scores \(last, mean\)"),
        (
            "objectives: [bradley_terry]\nrollouts: {}\nrewards: [{implicit: {path: a, reference: b}}]\n"
            "update: {steps: 1}",
            "reads `chosen`|on feedback from files",
        ),
        ("objectives: [sft]\nmodel: {lora: {dropout: 0.1}}", "model.lora.dropout must be 0"),
        ("objectives: [sft]\nrollouts: {}\nupdate: {steps: 1}", "nothing says which are good"),
    ],
)
def test_what_cannot_mean_anything_is_refused_before_anything_is_loaded(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check(_load(tmp_path, text))


ONLINE = "rollouts: {}\nrewards: [{model: {path: judge}}]\nupdate: {steps: 1}\nmodel: {path: m}\ndata: {train: d}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("objectives: [process_reward]", "reads `step_labels`, which samples do not have"),
        ("objectives: [ppo_clip]\nadvantage: gae", "no objective trains a value head"),
        ("objectives: [ppo_clip, value]\nadvantage: group_mean", "the advantage makes none"),
    ],
)
def test_what_samples_do_not_have_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check(_load(tmp_path, ONLINE + text))


def test_a_preference_objective_reads_the_verdicts_on_samples(tmp_path: Path) -> None:
    check(_load(tmp_path, ONLINE + "objectives: [dpo]"))


def test_model_and_data_have_to_be_given() -> None:
    with pytest.raises(RecipeError, match="`model.path` is not given\n  Give --model"):
        check(recipe.load("sft"))


def _wire(name: str, model: Path, data: Path, **more: object):  # type: ignore[no-untyped-def]
    return wire(recipe.load(name, {"model.path": str(model), "data.train": str(data), **more}))


def test_only_what_somebody_reads_is_made(toy_folder: Path, pairs: Path) -> None:
    assert _wire("sft", toy_folder, pairs).policy.reference is None
    dpo = _wire("dpo", toy_folder, pairs)
    assert dpo.policy.reference is not None
    assert not dpo.is_reward_model
    reward = _wire("reward", toy_folder, pairs)
    assert (reward.is_reward_model, reward.reading) == (True, "last")
    assert _wire("token_reward", toy_folder, pairs).reading == "mean"


def test_a_share_is_held_out_and_the_same_share_every_time(toy_folder: Path, pairs: Path) -> None:
    first, again = (_wire("dpo", toy_folder, pairs, validation_share=0.25) for _ in range(2))
    assert len(first.heldout) == 10
    assert len(first.experience.trees) == 30
    assert [t.prompt for t in first.heldout] == [t.prompt for t in again.heldout]
    assert not any(t in first.experience.trees for t in first.heldout)
    other = _wire("dpo", toy_folder, pairs, validation_share=0.25, seed=1)
    assert [t.prompt for t in first.heldout] != [t.prompt for t in other.heldout]


def test_a_validation_file_is_read_whole_and_nothing_is_held_out(toy_folder: Path, pairs: Path) -> None:
    run = _wire("dpo", toy_folder, pairs, **{"data.validation": str(pairs)})
    assert (len(run.heldout), len(run.experience.trees)) == (40, 40)


def test_skipped_rows_are_counted_in_the_notes(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(pairs.read_text() + "not json\n")
    with pytest.raises(DataError, match="bad.jsonl:41"):
        _wire("dpo", toy_folder, file)
    notes = _wire("dpo", toy_folder, file, skip_bad=True).notes
    assert any("1 rows of" in note and "bad.jsonl:41" in note for note in notes)


def test_what_was_cut_is_in_the_notes_and_dropping_everything_is_an_error(toy_folder: Path, pairs: Path) -> None:
    notes = _wire("dpo", toy_folder, pairs, max_response_tokens=3).notes
    assert any("responses cut to 3 tokens" in note for note in notes)
    with pytest.raises(DataError, match="no group is left to train on"):
        _wire("dpo", toy_folder, pairs, max_response_tokens=1, truncation="drop")


def test_tokens_lie_on_disk_and_are_those_of_the_groups_in_memory(toy_folder: Path, pairs: Path) -> None:
    """Reading in one pass holds out the same groups, in the same order, as reading everything first."""
    overrides = {"model.path": str(toy_folder), "data.train": str(pairs), "data.validation_share": 0.25}
    chosen = recipe.load("dpo", overrides)
    run = wire(chosen)
    reads = run.updater.loss.reads
    for found, groups in zip((run.experience.trees, run.heldout), read_groups(chosen, []), strict=True):
        assert isinstance(found, StoredTrees)
        assert list(found) == trees(groups, run.chat, reads)


@pytest.mark.parametrize(
    ("first_time", "more"), [(False, ""), (True, "and compiling kernels, which takes some seconds once")]
)
def test_whoever_waits_is_told_what_is_being_done(
    toy_folder: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, first_time: bool, more: str
) -> None:
    monkeypatch.setattr("truing.wire.none_is_kept", lambda: first_time)
    overrides = {"model.path": str(toy_folder), "data.train": str(pairs)}
    said: list[tuple[str, str]] = []
    wire(recipe.load("sft", overrides), say=lambda stage, detail: said.append((stage, detail)))
    assert said == [
        ("loading the tokenizer", ""),
        (f"reading and tokenising {pairs}", ""),
        (f"reading and tokenising {pairs}", "40 groups, all"),
        ("loading the model", more),
    ]

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from truing import recipe
from truing.errors import ModelError, RecipeError
from truing.experience.online import Online
from truing.explain import explain
from truing.models.store import CacheWarning
from truing.record import read_record
from truing.train import loop, train
from truing.wire import Run, wire

SETTINGS = {"batch_size": 8, "learning_rate": 1e-3, "save_every": 2, "validation_share": 0.1}
RESPONSES = 80
"""36 pairs to train on and 4 held out."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setenv("TRUING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reference"


@pytest.fixture
def thumbs(tmp_path: Path) -> Path:
    rows = [{"prompt": f"the cat {i}", "completion": f"sat on {i + 1}", "label": i % 2 == 0} for i in range(24)]
    path = tmp_path / "thumbs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _recipe(name: str, model: Path, data: Path, **more: object) -> recipe.Recipe:
    return recipe.load(name, {"model.path": str(model), "data.train": str(data), **SETTINGS, **more})


def _through(chosen: recipe.Recipe) -> tuple[Run, list[dict[str, float]]]:
    """A run without a folder, to its end."""
    run = wire(chosen)
    metrics = [step.metrics for step in loop(run.experience, run.updater)]
    if run.heldout:
        assert not isinstance(run.heldout, Online)
        run.updater.evaluate(run.heldout)
    if run.remembered is not None:
        run.remembered.cache.flush()
    return run, metrics


def _counts(run: Run) -> tuple[int, int, int]:
    """Responses unknown in the beginning, computed, taken from the cache."""
    assert run.remembered is not None
    cache = run.remembered.cache
    return cache.num_missing, cache.num_asked, cache.num_cached


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def _assert_same(a: Path, b: Path) -> None:
    left, right = _weights(a), _weights(b)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def _changed(folder: Path, place: Path) -> Path:
    """A copy of a model folder with one weight moved."""
    shutil.copytree(folder, place)
    data = bytearray((place / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (place / "model.safetensors").write_bytes(data)
    return place


def test_a_second_run_is_the_first_one_bit_for_bit_without_loading_a_reference(
    toy_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    chosen = _recipe("dpo", toy_folder, pairs, epochs=2)
    first, _ = _through(chosen)
    assert _counts(first) == (RESPONSES, RESPONSES, 72), "the second epoch of 36 pairs is known from the first"
    assert first.policy.reference is not None
    assert first.policy.reference.is_loaded
    again, _ = _through(chosen)
    assert _counts(again) == (0, 0, RESPONSES + 72)
    assert again.policy.reference is not None
    assert not again.policy.reference.is_loaded
    for ours, theirs in zip(first.policy.model.parameters(), again.policy.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_losses_and_gradients_are_those_without_a_cache(toy_folder: Path, pairs: Path) -> None:
    """In one epoch to the last bit; after it to rounding, for the reference's micro-batches were other ones."""
    _, plain = _through(_recipe("dpo", toy_folder, pairs, epochs=3, reference_cache_gb=0))
    for _ in range(2):
        _, kept = _through(_recipe("dpo", toy_folder, pairs, epochs=3))
        for step, (ours, theirs) in enumerate(zip(kept, plain, strict=True)):
            exact = step < 5
            for name in ("loss", "grad_norm", "rewards/margins"):
                assert ours[name] == pytest.approx(theirs[name], rel=0 if exact else 1e-4, abs=0 if exact else 2e-6)


def test_a_sweep_of_learning_rates_and_other_objectives_asks_once(toy_folder: Path, pairs: Path) -> None:
    _through(_recipe("dpo", toy_folder, pairs))
    for name, more in (
        ("dpo", {"learning_rate": 3e-3}),
        ("dpo", {"beta": 0.5}),
        ("dpo", {"seed": 7, "validation_share": 0.0}),
        ("dpo", {"batch_size": 3}),
        ("ipo", {}),
        ("dpo", {"reference_cache_gb": 0.1}),
    ):
        run, _ = _through(_recipe(name, toy_folder, pairs, **more))
        assert _counts(run)[:2] == (0, 0), (name, more)
        assert run.policy.reference is not None
        assert not run.policy.reference.is_loaded


def test_only_new_rows_are_asked_about(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    _through(_recipe("dpo", toy_folder, pairs))
    more = tmp_path / "more.jsonl"
    row = {"prompt": "the dog", "chosen": "ran over the moon good", "rejected": "sat bad"}
    more.write_text(pairs.read_text() + json.dumps(row) + "\n")
    assert _counts(_through(_recipe("dpo", toy_folder, more))[0])[:2] == (2, 2)


def test_other_weights_are_another_reference(toy_folder: Path, pairs: Path, tmp_path: Path, cache: Path) -> None:
    _through(_recipe("dpo", toy_folder, pairs))
    run, _ = _through(_recipe("dpo", _changed(toy_folder, tmp_path / "other"), pairs))
    assert _counts(run)[:2] == (RESPONSES, RESPONSES)
    assert len(list(cache.iterdir())) == 2
    copy = tmp_path / "copy"
    shutil.copytree(toy_folder, copy)
    assert _counts(_through(_recipe("dpo", copy, pairs))[0])[0] == 0, "the same weights elsewhere are the same"


def test_weights_that_changed_in_their_place_are_another_reference(
    toy_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    """With size and time as they were."""
    model = tmp_path / "model"
    shutil.copytree(toy_folder, model)
    _through(_recipe("dpo", model, pairs))
    about = (model / "model.safetensors").stat()
    other = _changed(toy_folder, tmp_path / "other") / "model.safetensors"
    shutil.copy(other, model / "model.safetensors")
    os.utime(model / "model.safetensors", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert _counts(_through(_recipe("dpo", model, pairs))[0])[0] == RESPONSES


@pytest.mark.parametrize(
    "change",
    [
        {"data.template": "chatml"},
        {"max_response_tokens": 3},
        {"model.dtype": "bfloat16"},
    ],
)
def test_another_template_truncation_or_precision_is_asked_about(
    toy_folder: Path, pairs: Path, change: dict[str, object]
) -> None:
    _through(_recipe("dpo", toy_folder, pairs))
    missing, asked, _ = _counts(_through(_recipe("dpo", toy_folder, pairs, **change))[0])
    assert missing == asked > 60


def test_autocast_has_numbers_of_its_own_and_evaluation_those_of_the_model(toy_folder: Path, pairs: Path) -> None:
    _through(_recipe("dpo", toy_folder, pairs))
    run, _ = _through(_recipe("dpo", toy_folder, pairs, autocast=True))
    assert _counts(run)[:2] == (72, 72), "the 8 that are held out are known"


def test_adapters_switched_off_are_the_model_below_them(toy_folder: Path, pairs: Path) -> None:
    lora = {"model.lora": {"r": 4}, "learning_rate": 1e-2}
    _, plain = _through(_recipe("dpo", toy_folder, pairs, **lora, epochs=2, reference_cache_gb=0))
    first, kept = _through(_recipe("dpo", toy_folder, pairs, **lora, epochs=2))
    assert _counts(first) == (RESPONSES, RESPONSES, 72)
    for ours, theirs in zip(kept, plain, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-6)
    assert kept[-1]["rewards/margins"] > 0.05, "it was not the trained adapter that was kept"
    assert _counts(_through(_recipe("dpo", toy_folder, pairs, **lora))[0])[0] == 0
    full, _ = _through(_recipe("dpo", toy_folder, pairs))
    assert _counts(full)[:2] == (0, 0), "whatever is trained, it is the same reference"


def test_a_reference_of_its_own_is_not_loaded_when_all_is_known(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    other = _changed(toy_folder, tmp_path / "other")
    chosen = _recipe("dpo", toy_folder, pairs, **{"model.reference": str(other)})
    assert _counts(_through(chosen)[0])[0] == RESPONSES
    run, _ = _through(chosen)
    assert _counts(run)[0] == 0
    assert run.policy.reference is not None
    assert not run.policy.reference.is_loaded
    shutil.copy(toy_folder / "model.safetensors", other / "model.safetensors")
    assert _counts(_through(chosen)[0])[0] == RESPONSES


def test_what_is_made_on_the_way_loads_the_reference_when_it_is_not_known(
    toy_folder: Path, thumbs: Path, tmp_path: Path
) -> None:
    """KTO asks about prompts with the answers to others, which depend on the order of the data."""
    first, _ = _through(_recipe("kto", toy_folder, thumbs, epochs=2))
    assert first.remembered is not None
    again, _ = _through(_recipe("kto", toy_folder, thumbs, epochs=2))
    assert _counts(again)[:2] == (0, 0)
    other, _ = _through(_recipe("kto", toy_folder, thumbs, epochs=2, seed=1, validation_share=0.0))
    missing, asked, _ = _counts(other)
    assert missing == 0
    assert asked > 0
    assert other.policy.reference is not None
    assert other.policy.reference.is_loaded


def test_a_reference_that_changed_before_it_had_to_be_loaded_stops_the_run(
    toy_folder: Path, thumbs: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(toy_folder, model)
    _through(_recipe("kto", model, thumbs))
    run = wire(_recipe("kto", model, thumbs, seed=1, validation_share=0.0))
    shutil.copy(_changed(toy_folder, tmp_path / "other") / "model.safetensors", model / "model.safetensors")
    with pytest.raises(ModelError, match="are not those that the run began with\n  They are the reference"):
        list(loop(run.experience, run.updater))


def test_a_damaged_file_is_made_again(toy_folder: Path, pairs: Path, tmp_path: Path, cache: Path) -> None:
    chosen = _recipe("dpo", toy_folder, pairs)
    train(chosen, tmp_path / "first")
    for file in cache.glob("*/*"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(CacheWarning, match="is damaged"):
        train(chosen, tmp_path / "second")
    _assert_same(tmp_path / "first", tmp_path / "second")
    assert _counts(_through(chosen)[0])[0] == 0


def test_a_run_that_was_cut_reads_what_it_knew_and_ends_as_one_that_was_not(
    toy_folder: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with a cache of its own, which knows nothing before."""
    chosen = _recipe("dpo", toy_folder, pairs, epochs=2)

    def cut(step: object) -> None:
        if step.number == 4:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    monkeypatch.setenv("TRUING_CACHE", str(tmp_path / "one"))
    train(chosen, tmp_path / "whole")
    monkeypatch.setenv("TRUING_CACHE", str(tmp_path / "two"))
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "cut", watch=cut)
    resumed = train(chosen, tmp_path / "cut", resume=True)
    _assert_same(tmp_path / "whole", tmp_path / "cut")
    assert any("64 of 80 responses are known from before" in note for note in resumed.notes), resumed.notes


def test_where_it_lies_is_said_before_and_what_became_of_it_after(
    toy_folder: Path, pairs: Path, tmp_path: Path, cache: Path
) -> None:
    heard: list[str] = []
    train(_recipe("dpo", toy_folder, pairs), tmp_path / "first")
    train(_recipe("dpo", toy_folder, pairs), tmp_path / "second", hear=heard.append)
    said = [note.removeprefix("reference log-probabilities: ") for note in heard if "reference" in note]
    assert said == [
        f"80 of 80 responses are known from before, so the reference model is not loaded; they are kept in {cache}, "
        "at most 2 GB (model.reference_cache_gb)",
        "80 responses from the cache, 0 computed",
    ]
    assert json.loads((tmp_path / "second" / "result.json").read_text())["notes"][-1] == heard[-1]
    assert read_record(tmp_path / "first")[-1]["eval/loss"] == read_record(tmp_path / "second")[-1]["eval/loss"]


def test_zero_gigabytes_write_nothing_and_keep_nothing(toy_folder: Path, pairs: Path, cache: Path) -> None:
    run, _ = _through(_recipe("dpo", toy_folder, pairs, reference_cache_gb=0))
    assert run.remembered is None
    assert not cache.exists()


def test_a_run_may_go_on_with_another_size_of_the_cache(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    def cut(step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(_recipe("dpo", toy_folder, pairs), tmp_path / "run", watch=cut)
    with pytest.raises(RecipeError, match=r"model\.dtype"):
        train(_recipe("dpo", toy_folder, pairs, **{"model.dtype": "bfloat16"}), tmp_path / "run", resume=True)
    assert train(_recipe("dpo", toy_folder, pairs, reference_cache_gb=0), tmp_path / "run", resume=True).steps == 5


def test_whole_distributions_and_samples_are_not_kept(toy_folder: Path, pairs: Path, prompts: Path) -> None:
    tdpo = recipe.load("tdpo", {"model.path": str(toy_folder), "data.train": str(pairs)})
    assert wire(tdpo).remembered is None
    assert "the reference runs at every step: ref_kl needs all its probabilities" in explain(tdpo)
    assert "ref_logprobs are kept on disk" in explain(recipe.load("dpo"))
    assert "kept" not in explain(recipe.load("dpo", {"reference_cache_gb": 0}))
    assert "kept" not in explain(recipe.load("grpo"))
    assert "kept" not in explain(recipe.load("sft"))

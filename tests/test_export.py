"""One plain folder out of runs, adapters and models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from truing import recipe
from truing.errors import ModelError, UserError
from truing.export import export, settings
from truing.models.heads import load_reward_model
from truing.models.loading import load_causal_lm
from truing.models.merging import Merge
from truing.models.saving import read_metadata
from truing.train import train

SMALL: dict[str, Any] = {"batch_size": 20, "learning_rate": 1e-2, "validation_share": 0.0, "model.lora": {"r": 4}}


def _run(name: str, model: Path, data: Path, out: Path, **more: Any) -> str:
    chosen = recipe.load(name, {"model.path": str(model), "data.train": str(data), **SMALL, **more})
    train(chosen, out)
    return str(out)


@pytest.fixture(scope="module")
def halves(
    toy_folder: Path, demonstrations: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """The two parallel runs of PAFT."""
    folder = tmp_path_factory.mktemp("runs")
    return (
        _run("paft_sft", toy_folder, demonstrations, folder / "sft"),
        _run("paft_dpo", toy_folder, pairs, folder / "dpo"),
    )


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_run_with_adapters_leaves_them_beside_the_merged_model(halves: tuple[str, str], toy_folder: Path) -> None:
    adapter = Path(halves[0]) / "adapter"
    assert (adapter / "adapter_model.safetensors").is_file()
    said = json.loads((adapter / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(toy_folder)
    assert read_metadata(adapter)["recipe"] == "paft_sft"


def test_one_adapter_is_merged_into_its_base_as_the_run_did_it(halves: tuple[str, str], tmp_path: Path) -> None:
    for source in (halves[0], f"{halves[0]}/adapter"):
        done = export([source], tmp_path / "out")
        theirs, ours = weights(Path(halves[0]) / "model"), weights(tmp_path / "out")
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(theirs[name], ours[name]) for name in ours)
        assert len(done.adapters) == 1
        assert done.adapters[0].mean > 0
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.vocab_size == 320


def test_two_adapters_add_up(halves: tuple[str, str], toy_folder: Path, tmp_path: Path) -> None:
    done = export(halves, tmp_path / "out", Merge(weights=(0.5, 2.0)))
    base, one, two = (weights(f) for f in (toy_folder, Path(halves[0]) / "model", Path(halves[1]) / "model"))
    for name, found in weights(tmp_path / "out").items():
        expected = base[name] + 0.5 * (one[name] - base[name]) + 2 * (two[name] - base[name])
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert "merged by linear" in done.text()
    said = read_metadata(tmp_path / "out")["merged"]
    assert said == {"adapters": list(halves), "by": "linear", "weights": [0.5, 2.0]}


def test_the_same_seed_drops_the_same(halves: tuple[str, str], tmp_path: Path) -> None:
    for number, seed in enumerate((3, 3, 4)):
        export(halves, tmp_path / str(number), Merge("dare_ties", seed=seed))
    a, b, c = (weights(tmp_path / str(number)) for number in range(3))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)
    assert read_metadata(tmp_path / "0")["merged"]["seed"] == 3


def test_a_whole_model_is_copied_and_an_exported_one_exported_again(
    toy_folder: Path, halves: tuple[str, str], tmp_path: Path
) -> None:
    done = export([str(toy_folder)], tmp_path / "one")
    assert done.adapters == ()
    assert done.text() == f"model: {tmp_path / 'one'}"
    assert all(torch.equal(weights(toy_folder)[n], w) for n, w in weights(tmp_path / "one").items())
    export(halves, tmp_path / "two")
    export([str(tmp_path / "two")], tmp_path / "three")
    assert read_metadata(tmp_path / "three")["merged"] == read_metadata(tmp_path / "two")["merged"]


def test_a_reward_model_stays_one_and_keeps_its_scale(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    run = _run("reward", toy_folder, pairs, tmp_path / "reward")
    ids = torch.tensor([[5, 6, 7, 8]])
    expected = load_reward_model(f"{run}/model")(input_ids=ids).logits
    for source in (run, f"{run}/model"):
        export([source], tmp_path / "out")
        torch.testing.assert_close(load_reward_model(tmp_path / "out")(input_ids=ids).logits, expected)
        assert read_metadata(tmp_path / "out")["reward"] == read_metadata(f"{run}/model")["reward"]


def test_an_adapter_on_an_adapter_has_no_base_to_be_saved_for(
    halves: tuple[str, str], demonstrations: Path, tmp_path: Path
) -> None:
    out = _run("sft", Path(halves[0]) / "adapter", demonstrations, tmp_path / "run")
    assert not (Path(out) / "adapter").exists()
    export([out], tmp_path / "out")
    assert all(torch.equal(weights(Path(out) / "model")[n], w) for n, w in weights(tmp_path / "out").items())


def test_what_cannot_be_merged_is_refused(halves: tuple[str, str], toy_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="this is a whole model, and only adapters can be merged\n.*lora.r=16"):
        export([halves[0], str(toy_folder)], out)
    with pytest.raises(UserError, match="one model has nothing to be merged with"):
        export([halves[0]], out, Merge("ties"))
    with pytest.raises(UserError, match="--out is the model itself"):
        export([str(toy_folder)], toy_folder)
    with pytest.raises(ModelError, match="no such folder"):
        export([str(tmp_path / "none" / "x")], out)
    assert not out.exists()
    assert load_causal_lm(toy_folder).config.vocab_size == 320


def test_numbers_of_the_command_line_are_read_or_refused() -> None:
    assert settings("ties", "0.5, 1", 0.3, 2) == Merge("ties", (0.5, 1.0), 0.3, 2)
    assert settings() == Merge()
    with pytest.raises(UserError, match=r"`1,a` are no numbers\n  As in --weights 0.5,0.5"):
        settings("linear", "1,a")

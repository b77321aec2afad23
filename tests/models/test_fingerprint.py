from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from truing.models.adapters import with_lora
from truing.models.fingerprint import of_code, of_folder, of_model
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model


def test_the_same_weights_from_another_folder_are_the_same_model(toy_folder: Path, tmp_path: Path) -> None:
    model = load_causal_lm(toy_folder)
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    assert of_model(load_causal_lm(tmp_path / "parts")) == of_model(model)


def test_one_bit_of_one_weight_is_another_model(toy_folder: Path) -> None:
    model = load_causal_lm(toy_folder)
    before = of_model(model)
    weight = model.model.layers[1].mlp.down_proj.weight
    with torch.no_grad():
        value = weight[0, 0].clone()
        weight[0, 0] = torch.nextafter(value, torch.tensor(9.0))
        assert of_model(model) != before
        weight[0, 0] = value
    assert of_model(model) == before


def test_two_weights_of_one_shape_cannot_change_places_unseen(toy_folder: Path) -> None:
    model = load_causal_lm(toy_folder)
    before = of_model(model)
    first, second = model.model.layers
    first.mlp.up_proj, second.mlp.up_proj = second.mlp.up_proj, first.mlp.up_proj
    assert of_model(model) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda config: setattr(config, "rms_norm_eps", 1e-3),
        lambda config: config.rope_parameters.update(rope_theta=5e5),
        lambda config: setattr(config, "hidden_act", "gelu"),
    ],
)
def test_another_config_is_another_model_though_its_weights_are_the_same(toy_folder: Path, change: object) -> None:
    model = load_causal_lm(toy_folder)
    before = of_model(model)
    change(model.config)  # type: ignore[operator]
    assert of_model(model) != before


def test_the_type_of_the_weights_and_their_ties_count(toy_folder: Path) -> None:
    model = load_causal_lm(toy_folder)
    found = {of_model(model), of_model(load_causal_lm(toy_folder, dtype="bfloat16"))}
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    found.add(of_model(model))
    assert len(found) == 3


@pytest.mark.parametrize("family", ["gpt2", "gemma3", "gpt_oss", "mamba"])
def test_every_family_has_one(toy: SimpleNamespace, family: str) -> None:
    assert of_model(toy.model(family)) == of_model(toy.model(family))


def test_a_folder_is_its_weights_and_config_and_neither_dates_nor_other_files(toy_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy_folder, copy)
    before = of_folder(toy_folder)
    assert of_folder(copy) == before
    (copy / "README.md").write_text("words")
    (copy / "tokenizer_config.json").write_text("{}")
    assert of_folder(copy) == before, "another tokenizer gives other tokens, and these are looked up themselves"
    weights = copy / "model.safetensors"
    about = weights.stat()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert weights.stat().st_size == about.st_size
    assert of_folder(copy) != before, "the same size and time, and another bit"


def test_an_adapter_is_its_base_too(toy_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(toy_folder, base)
    save_model(with_lora(load_causal_lm(base), r=2), load_tokenizer(base), tmp_path / "adapter", merge=False)
    before = of_folder(tmp_path / "adapter")
    weights = base / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert of_folder(tmp_path / "adapter") != before


def test_the_code_has_one_that_does_not_change_between_two_looks() -> None:
    assert of_code() == of_code()
    assert len(of_code()) == 64

"""The shipped base model, and that its script still makes such a thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from truing import lab
from truing.lab.pretrain import Settings, document_loss, pretrain, save, sum_accuracy

FILES = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_the_base_folder_is_small_and_holds_no_pickle() -> None:
    assert {path.name for path in lab.base_path().iterdir()} == FILES
    assert sum(path.stat().st_size for path in lab.base_path().iterdir()) < 4_000_000


def test_the_weights_are_stored_in_float16_and_loaded_as_float32(base_model: Any) -> None:
    with safe_open(lab.base_path() / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
    assert base_model.dtype == torch.float32
    assert base_model.num_parameters() == 836_480


def test_the_base_model_knows_its_world(base_model: Any, base_tokenizer: Any) -> None:
    assert document_loss(base_model, base_tokenizer) < 0.70
    assert sum_accuracy(base_model, base_tokenizer) > 0.95


def test_the_base_readme_names_the_figures_of_this_model(base_model: Any, base_tokenizer: Any) -> None:
    text = (lab.base_path() / "README.md").read_text(encoding="utf-8")
    assert f"{document_loss(base_model, base_tokenizer):.3f}" in text
    assert f"{sum_accuracy(base_model, base_tokenizer):.1%}" in text


def test_pretraining_learns_and_saves_a_folder_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    settings = Settings(num_documents=600, num_steps=40)
    model, tokenizer = pretrain(settings, every=20)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["20/40", "40/40"]
    loss = document_loss(model, tokenizer, 20)
    assert loss < 4.5  # log(1536) = 7.34 before training
    save(model, tokenizer, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert document_loss(again, AutoTokenizer.from_pretrained(tmp_path), 20) == pytest.approx(loss, abs=0.01)


def test_pretraining_twice_gives_the_same_weights() -> None:
    settings = Settings(num_documents=400, num_steps=3)
    first, _ = pretrain(settings)
    second, _ = pretrain(settings)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

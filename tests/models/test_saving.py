"""A saved folder is whole, standard and never half there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from truing.errors import ModelError
from truing.models import saving
from truing.models.adapters import with_lora
from truing.models.forward import Runner
from truing.models.heads import reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import METADATA, read_metadata, save_model

IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture
def toy(toy_folder: Path) -> tuple[Any, Any]:
    return load_causal_lm(toy_folder), load_tokenizer(toy_folder)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_is_what_save_pretrained_writes_and_one_more_file(toy: tuple[Any, Any], tmp_path: Path) -> None:
    save_model(*toy, tmp_path / "runs" / "out")
    assert names(tmp_path / "runs" / "out") == [
        "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "truing.json",
    ]  # fmt: skip
    assert names(tmp_path / "runs") == ["out"]


def test_transformers_reads_back_the_same_model_and_tokenizer(toy: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = toy
    tokenizer.chat_template = "{{ messages[0].content }}!"
    model.generation_config.temperature = 0.5
    model.generation_config.do_sample = True
    save_model(model, tokenizer, tmp_path / "out")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(theirs(input_ids=IDS).logits, model(input_ids=IDS).logits)
    assert theirs.generation_config.temperature == 0.5
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == "{{ messages[0].content }}!"


def test_a_model_that_ran_on_trees_is_saved_as_a_plain_one(toy: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = toy
    Runner(model)
    model.set_attn_implementation("truing_tree")
    save_model(model, tokenizer, tmp_path / "out")
    assert "truing_tree" not in (tmp_path / "out" / "config.json").read_text()


def test_saving_prints_nothing(toy: tuple[Any, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_model(*toy, tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def test_metadata_is_read_back_with_kind_and_version(toy: tuple[Any, Any], tmp_path: Path) -> None:
    save_model(*toy, tmp_path / "out", metadata={"recipe": "sft"})
    found = read_metadata(tmp_path / "out")
    assert found["recipe"] == "sft"
    assert found["kind"] == "language model"
    assert found["truing"]


def test_folders_of_other_tools_have_no_metadata(toy_folder: Path) -> None:
    assert read_metadata(toy_folder) == {}


def test_metadata_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / METADATA).write_text("[]")
    with pytest.raises(ModelError, match="not a JSON object"):
        read_metadata(tmp_path)


# ---- adapters ------------------------------------------------------------------------------------------------------


def trained_adapter(model: Any) -> Any:
    model = with_lora(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    return model


def test_adapters_are_saved_merged_and_stay_in_the_model(toy: tuple[Any, Any], tmp_path: Path) -> None:
    model = trained_adapter(toy[0])
    save_model(model, toy[1], tmp_path / "out")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=IDS).logits, model(input_ids=IDS).logits, atol=1e-5)
    assert any("lora_A" in name for name, _ in model.named_parameters())


def test_an_adapter_alone_names_its_base_and_holds_nothing_of_it(
    toy: tuple[Any, Any], toy_folder: Path, tmp_path: Path
) -> None:
    save_model(trained_adapter(toy[0]), toy[1], tmp_path / "out", merge=False)
    assert names(tmp_path / "out") == [
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "tokenizer.json",
        "tokenizer_config.json", "truing.json",
    ]  # fmt: skip
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(toy_folder.resolve())
    assert all("lora_" in name for name in load_file(tmp_path / "out" / "adapter_model.safetensors"))


def test_an_adapter_on_weights_that_lie_in_no_folder_is_refused_before_anything_is_written(
    toy: tuple[Any, Any], tmp_path: Path
) -> None:
    save_model(trained_adapter(toy[0]), toy[1], tmp_path / "first", merge=False)
    stacked = trained_adapter(load_causal_lm(tmp_path / "first"))
    with pytest.raises(ModelError, match="lie in no folder"):
        save_model(stacked, toy[1], tmp_path / "second", merge=False)
    assert names(tmp_path) == ["first"]
    save_model(stacked, toy[1], tmp_path / "second")


# ---- reward models -------------------------------------------------------------------------------------------------


def test_a_pipeline_of_transformers_gives_our_scores(toy: tuple[Any, Any], tmp_path: Path) -> None:
    from truing.rewards.model import RewardModel

    _, tokenizer = toy
    torch.manual_seed(3)
    reward = reward_model_from(toy[0])
    save_model(reward, tokenizer, tmp_path / "reward")
    prompts = ["<bos><user>the cat sat<bot>", "<bos><user>a dog<bot>", "<bos><user>the cat sat<bot>"]
    responses = [" on the mat<eos>", " flew over<eos>", " ran"]
    tokens = [[tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts] for texts in (prompts, responses)]
    ours = RewardModel(path=str(tmp_path / "reward")).score_tokens(*tokens)
    theirs = pipeline("text-classification", model=str(tmp_path / "reward"), device="cpu")
    texts = [p + r for p, r in zip(prompts, responses, strict=True)]
    for batch_size in (1, 3):  # batched, transformers pads and looks for the last token that is not PAD
        found = [row["score"] for row in theirs(texts, batch_size=batch_size)]
        assert ours == pytest.approx(found, abs=1e-5)
    assert len({round(value, 4) for value in ours}) == 3


def test_the_pad_of_the_tokenizer_is_the_one_the_reward_model_skips(toy: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = toy
    tokenizer.pad_token = "<user>"
    save_model(reward_model_from(model), tokenizer, tmp_path / "reward")
    config = json.loads((tmp_path / "reward" / "config.json").read_text())
    assert config["pad_token_id"] == tokenizer.convert_tokens_to_ids("<user>")
    assert config["problem_type"] == "regression"
    assert read_metadata(tmp_path / "reward")["kind"] == "reward model"


def test_a_pad_that_is_eos_is_not_written_lest_a_score_is_read_before_the_end(
    toy: tuple[Any, Any], tmp_path: Path
) -> None:
    model, tokenizer = toy
    tokenizer.pad_token = tokenizer.eos_token
    reward = reward_model_from(model)
    save_model(reward, tokenizer, tmp_path / "reward")
    theirs = pipeline("text-classification", model=str(tmp_path / "reward"), device="cpu")
    ids = tokenizer("the cat<eos>", add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        state = reward.model(input_ids=ids).last_hidden_state[0, -1]
        expected = reward.score(state).item()
    assert theirs("the cat<eos>")[0]["score"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="batch sizes > 1"):
        theirs(["the cat<eos>", "a<eos>"], batch_size=2)


# ---- whole or not at all -------------------------------------------------------------------------------------------


def fill(model: Any, value: float) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def weight(folder: Path) -> float:
    found: float = load_file(folder / "model.safetensors")["model.norm.weight"][0].item()
    return found


def test_an_old_model_is_replaced_and_nothing_is_left_over(toy: tuple[Any, Any], tmp_path: Path) -> None:
    save_model(trained_adapter(load_causal_lm(toy[0].name_or_path)), toy[1], tmp_path / "out", merge=False)
    save_model(fill(toy[0], 2.0), toy[1], tmp_path / "out")
    assert weight(tmp_path / "out") == 2.0
    assert "adapter_config.json" not in names(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_where_the_system_cannot_exchange_two_folders_the_old_one_is_moved_away_first(
    toy: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "_exchange", lambda one, other: False)
    save_model(fill(toy[0], 1.0), toy[1], tmp_path / "out")
    save_model(fill(toy[0], 2.0), toy[1], tmp_path / "out")
    assert weight(tmp_path / "out") == 2.0
    assert names(tmp_path) == ["out"]


def test_a_failure_leaves_the_old_model_and_no_draft(toy: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = toy
    save_model(fill(model, 1.0), tokenizer, tmp_path / "out")

    class Full(type(tokenizer)):  # type: ignore[misc]
        def save_pretrained(self, *args: object, **more: object) -> None:
            raise OSError(28, "No space left on device")

    full = Full.__new__(Full)
    full.__dict__ = tokenizer.__dict__
    with pytest.raises(ModelError, match="No space left on device"):
        save_model(fill(model, 2.0), full, tmp_path / "out")
    assert weight(tmp_path / "out") == 1.0
    assert names(tmp_path) == ["out"]


def test_a_folder_with_other_things_in_it_is_not_replaced(toy: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match=r"holds other things than a model \(thesis.tex\)"):
        save_model(*toy, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"thesis\.tex"):
        save_model(*toy, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_way_is_not_replaced(toy: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ModelError, match="this is a file"):
        save_model(*toy, tmp_path / "out")
    with pytest.raises(ModelError, match="could not be written"):
        save_model(*toy, tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "mine"


def test_an_empty_folder_may_be_filled_and_a_link_stays_a_link(toy: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    save_model(*toy, tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "model.safetensors").is_file()


def test_the_draft_of_a_killed_run_is_cleared_away(toy: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / ".out.saving" / "deep").mkdir(parents=True)
    save_model(*toy, tmp_path / "out")
    assert names(tmp_path) == ["out"]


KILLED = """
import sys, itertools, torch
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
source, out = sys.argv[1:]
model, tokenizer = load_causal_lm(source), load_tokenizer(source)
for value in itertools.count(1):
    with torch.no_grad():
        for p in model.parameters(): p.fill_(float(value))
    save_model(model, tokenizer, out)
    print(value, flush=True)
"""


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_a_whole_model(toy_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for attempt in range(4):
        command = [sys.executable, "-c", KILLED, str(toy_folder), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as run:
            assert run.stdout is not None
            run.stdout.readline()
            time.sleep(0.05 + 0.023 * attempt)
            run.send_signal(signal.SIGKILL)
        values = {v for t in load_file(out / "model.safetensors").values() for v in t.flatten().tolist()}
        assert len(values) == 1  # of one save, not of two
        load_causal_lm(out)
        load_tokenizer(out)

"""LoRA, the reference, merging: numbers that a reader can check."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from truing.errors import ModelError
from truing.models.adapters import merged, reference, with_lora
from truing.models.heads import reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def llama(tied: bool = True) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=tied, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=1, eos_token_id=2)
    return GPT2LMHeadModel(config).eval()


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(input_ids=IDS).logits
    return out


def shake(model: nn.Module) -> None:
    """Training, for those who do not want to wait."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.mark.parametrize("make", [llama, gpt2])
def test_fresh_adapters_change_nothing(make: Any) -> None:
    model = make()
    before = logits(model)
    assert torch.equal(logits(with_lora(model)), before)


def test_only_the_adapters_are_trained() -> None:
    model = with_lora(llama(), r=4)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    # per layer and rank: q 16+16, k 16+8, v 16+8, o 16+16, gate 16+32, up 16+32, down 32+16
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * 4 * (32 + 24 + 24 + 32 + 48 + 48 + 48)


def test_alpha_over_r_scales_what_the_adapter_adds() -> None:
    model = with_lora(llama(), r=2, alpha=6.0, target_modules=["q_proj"])
    layer: Any = model.get_base_model().model.layers[0].self_attn.q_proj
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(torch.eye(2, 16))
        layer.lora_B["default"].weight.copy_(torch.eye(16, 2))
    x = torch.arange(16.0)[None]
    added = layer(x) - layer.base_layer(x)
    assert torch.allclose(added, torch.tensor([[0.0, 3.0, *[0.0] * 14]]), atol=1e-5)  # 6 / 2 · (x_0, x_1)


def test_adapters_of_a_bfloat16_model_are_float32() -> None:
    model = with_lora(llama().bfloat16())
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def test_a_layer_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ModelError, match="query_key_value") as caught:
        with_lora(llama(), target_modules=["query_key_value"])
    assert "down_proj, gate_proj, k_proj" in str(caught.value.remedy)


def test_an_adapter_on_a_tied_embedding_is_refused() -> None:
    for targets in (["lm_head"], ["embed_tokens", "q_proj"], ".*lm_head"):
        with pytest.raises(ModelError, match="shares its weight"):
            with_lora(llama(), target_modules=targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft 0.19 takes untied embeddings for tied ones
        with_lora(llama(tied=False), target_modules=["lm_head"])


def test_adapters_on_adapters_are_refused() -> None:
    with pytest.raises(ModelError, match="has adapters already"):
        with_lora(with_lora(llama()))  # type: ignore[arg-type]


def test_the_score_layer_of_a_reward_model_is_trained_in_full() -> None:
    model = with_lora(reward_model_from(llama()))
    trained = {name for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name}
    assert trained == {"base_model.model.score.modules_to_save.default.weight"}


# ---- the reference -------------------------------------------------------------------------------------------------


def test_with_adapters_the_reference_is_the_same_model_with_adapters_off() -> None:
    base = llama()
    before = logits(base)
    model = with_lora(base)
    held = reference(model)
    shake(model)
    assert held.shared
    with held.active() as reference_model:
        assert reference_model is model
        assert torch.equal(logits(reference_model), before)
        assert not torch.is_grad_enabled()
    assert not torch.equal(logits(model), before)
    assert all(p.requires_grad for name, p in model.named_parameters() if "lora_" in name)


def test_the_shared_reference_needs_no_memory_of_its_own() -> None:
    model = with_lora(llama())
    weights = {p.data_ptr() for p in model.parameters()}
    assert {p.data_ptr() for p in reference(model).model.parameters()} == weights


def test_the_reference_is_in_evaluation_mode_and_leaves_every_part_as_it_was() -> None:
    model = with_lora(llama(), dropout=0.5)
    model.train()
    frozen_part = model.get_base_model().model.layers[0]
    frozen_part.eval()
    before = {name: m.training for name, m in model.named_modules()}
    with reference(model).active() as reference_model:
        assert not any(m.training for m in reference_model.modules())
    assert {name: m.training for name, m in model.named_modules()} == before


def test_adapters_come_back_on_after_an_error() -> None:
    model = with_lora(llama())
    shake(model)
    after = logits(model)

    def fail() -> None:
        with reference(model).active():
            raise KeyError("in the middle of a batch")

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(logits(model), after)
    assert torch.is_grad_enabled()


def test_without_adapters_the_reference_is_a_frozen_copy_of_the_weights_in_memory() -> None:
    model = llama()
    shake(model)  # memory and no folder holds these weights
    before = logits(model)
    held = reference(model)
    shake(model)
    assert not held.shared
    with held.active() as frozen:
        assert frozen is not model
        assert torch.equal(logits(frozen), before)
    assert not any(p.requires_grad for p in held.model.parameters())
    assert not any(m.training for m in held.model.modules())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("make", [llama, gpt2])
def test_tied_weights_stay_tied_in_the_copy(make: Any) -> None:
    model = make()
    frozen = reference(model).model
    assert frozen.get_output_embeddings().weight is frozen.get_input_embeddings().weight
    assert frozen.get_input_embeddings().weight is not model.get_input_embeddings().weight


def test_the_reference_may_be_another_model() -> None:
    other = llama(tied=False)
    held = reference(with_lora(llama()), other)
    assert not held.shared
    with held.active() as model:
        assert model is other


# ---- merging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [llama, gpt2])
def test_a_merged_copy_says_the_same_and_leaves_the_model_alone(make: Any) -> None:
    model = with_lora(make())
    shake(model)
    before = logits(model)
    plain = merged(model)
    assert isinstance(plain, PreTrainedModel)
    assert not isinstance(plain, PeftModel)
    assert torch.allclose(logits(plain), before, atol=1e-5)
    assert torch.equal(logits(model), before)
    assert plain.get_output_embeddings().weight is plain.get_input_embeddings().weight
    assert not any("lora" in name for name, _ in plain.named_parameters())


def test_merging_in_place_uses_the_model_up() -> None:
    model = with_lora(llama())
    inner = model.get_base_model()
    assert merged(model, copy=False) is inner


def test_a_model_without_adapters_is_already_merged() -> None:
    model = llama()
    assert merged(model) is model


def test_weights_that_are_not_finite_are_not_merged() -> None:
    model = with_lora(llama())
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if "lora_B" in name).fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        merged(model)


# ---- adapter folders -----------------------------------------------------------------------------------------------


@pytest.fixture
def adapter(toy_folder: Path, tmp_path: Path) -> tuple[Path, Tensor]:
    """An adapter folder on a copy of the toy, and its logits."""
    shutil.copytree(toy_folder, tmp_path / "base")
    model = with_lora(load_causal_lm(tmp_path / "base"))
    shake(model)
    save_model(model, load_tokenizer(tmp_path / "base"), tmp_path / "adapter", merge=False)
    return tmp_path / "adapter", logits(model)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_adapter_folder_is_loaded_on_its_base(adapter: tuple[Path, Tensor]) -> None:
    folder, expected = adapter
    model = load_causal_lm(folder)
    assert type(model) is LlamaForCausalLM
    assert torch.allclose(logits(model), expected, atol=1e-5)


def test_the_base_of_an_adapter_may_be_named_from_the_adapters_folder(
    adapter: tuple[Path, Tensor], tmp_path: Path
) -> None:
    folder, expected = adapter
    edit(folder / "adapter_config.json", base_model_name_or_path="../base")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "base").rename(moved / "base")
    folder.rename(moved / "adapter")
    assert torch.allclose(logits(load_causal_lm(moved / "adapter")), expected, atol=1e-5)


def test_an_adapter_without_tokenizer_has_its_bases(adapter: tuple[Path, Tensor]) -> None:
    folder, _ = adapter
    assert load_tokenizer(folder).eos_token == "<eos>"
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert load_tokenizer(folder).eos_token == "<eos>"


def test_an_adapter_whose_base_is_gone_says_so(adapter: tuple[Path, Tensor], tmp_path: Path) -> None:
    folder, _ = adapter
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ModelError, match="the model that this adapter belongs to is not there") as caught:
        load_causal_lm(folder)
    assert caught.value.where == str(folder / "adapter_config.json")


@pytest.mark.parametrize("base", [None, "", 3])
def test_an_adapter_that_names_no_base_is_refused(adapter: tuple[Path, Tensor], base: object) -> None:
    folder, _ = adapter
    edit(folder / "adapter_config.json", base_model_name_or_path=base)
    with pytest.raises(ModelError, match="does not say which model"):
        load_causal_lm(folder)


def test_an_adapter_that_is_its_own_base_is_refused(adapter: tuple[Path, Tensor]) -> None:
    folder, _ = adapter
    edit(folder / "adapter_config.json", base_model_name_or_path=str(folder))
    with pytest.raises(ModelError, match="is an adapter itself"):
        load_causal_lm(folder)


def test_a_pickled_adapter_is_refused(adapter: tuple[Path, Tensor]) -> None:
    folder, _ = adapter
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match="there is no adapter_model"):
        load_causal_lm(folder)


def test_a_damaged_adapter_is_refused(adapter: tuple[Path, Tensor]) -> None:
    folder, _ = adapter
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="does not fit"):
        load_causal_lm(folder)


def test_an_adapter_of_another_model_is_refused(adapter: tuple[Path, Tensor], tmp_path: Path) -> None:
    folder, _ = adapter
    save_model(llama(), load_tokenizer(tmp_path / "base"), tmp_path / "base")
    with pytest.raises(ModelError, match="does not fit"):
        load_causal_lm(folder)


def test_an_adapter_with_missing_weights_is_refused(adapter: tuple[Path, Tensor]) -> None:
    from safetensors.torch import load_file, save_file

    folder, _ = adapter
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path, metadata={"format": "pt"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a user's run does not stop at a warning
        with pytest.raises(ModelError, match=r"does not fit.*missing adapter keys"):
            load_causal_lm(folder)

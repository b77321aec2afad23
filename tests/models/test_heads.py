"""Reward models are transformers' own classes on the weights in memory; value heads start at nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from truing.errors import ModelError
from truing.models.adapters import merged, with_lora
from truing.models.forward import Runner
from truing.models.heads import ValueHead, load_reward_model, reward_model_from, score_head, value_head
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
from truing.tree import Branch, Tree, pack

FAMILIES = ("llama", "qwen3", "mistral", "gemma", "gpt2", "gpt_neox", "phi", "olmo2")
_COMMON = {
    "vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_KINDS = {
    "llama": "LlamaConfig", "qwen3": "Qwen3Config", "mistral": "MistralConfig", "gemma": "GemmaConfig",
    "gpt_neox": "GPTNeoXConfig", "phi": "PhiConfig", "olmo2": "Olmo2Config", "cohere": "CohereConfig",
    "granite": "GraniteConfig",
}  # fmt: skip


def causal_lm(family: str) -> Any:
    torch.manual_seed(0)
    if family == "gpt2":
        config = hf.GPT2Config(
            vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=64,
            pad_token_id=0, bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
    else:
        more = {} if family == "gpt_neox" else {"num_key_value_heads": 1}
        if family in ("qwen3", "gemma"):
            more["head_dim"] = 8
        config = getattr(hf, _KINDS[family])(**_COMMON, **more)
    return AutoModelForCausalLM.from_config(config).eval()


IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_score_is_the_score_layer_on_the_language_models_own_last_state(family: str) -> None:
    model = causal_lm(family)
    reward = reward_model_from(model)
    with torch.no_grad():
        state = model.base_model(input_ids=IDS).last_hidden_state[0, -1]
        expected = score_head(reward)(state)
        found = reward(input_ids=IDS).logits
    assert type(reward).__name__.endswith("ForSequenceClassification")
    assert torch.allclose(found[0], expected, atol=1e-6)
    assert found.shape == (1, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_tree_gives_the_scores_that_transformers_gives(family: str) -> None:
    reward = reward_model_from(causal_lm(family))
    prompt, responses = [5, 6, 7], [[8], [9, 10, 11], [12, 13]]
    packed = pack([Tree(prompt, [Branch(r, [True] * len(r)) for r in responses])])
    with torch.no_grad():
        expected = [reward(input_ids=torch.tensor([prompt + r])).logits.item() for r in responses]
        found = score_head(reward)(Runner(reward)(packed)[packed.ends]).squeeze(-1)
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reward_folder_is_read_by_transformers_with_the_same_scores(
    family: str, toy_folder: Path, tmp_path: Path
) -> None:
    reward = reward_model_from(causal_lm(family))
    save_model(reward, load_tokenizer(toy_folder), tmp_path / "reward")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    ours = load_reward_model(tmp_path / "reward")
    with torch.no_grad():
        expected = reward(input_ids=IDS).logits
        assert torch.allclose(theirs(input_ids=IDS).logits, expected, atol=1e-6)
        assert torch.allclose(ours(input_ids=IDS).logits, expected, atol=1e-6)


def test_the_language_model_is_copied_and_left_as_it_was() -> None:
    model = causal_lm("llama")
    before = model.config.to_dict()
    reward = reward_model_from(model)
    shared = {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in reward.parameters()}
    assert not shared
    assert model.config.to_dict() == before
    assert reward.config is reward.model.config
    assert all(p.requires_grad for p in reward.parameters())


def test_the_score_layer_starts_with_variance_one_over_hidden_plus_one() -> None:
    config = hf.LlamaConfig(**{**_COMMON, "hidden_size": 4096, "intermediate_size": 8, "num_hidden_layers": 0})
    with torch.no_grad():
        weight = score_head(reward_model_from(AutoModelForCausalLM.from_config(config))).weight
    assert weight.shape == (1, 4096)
    assert weight.std().item() == pytest.approx(1 / math.sqrt(4097), rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=4 / 4097)  # four standard errors


def test_the_score_layer_depends_on_its_seed_alone() -> None:
    model = causal_lm("llama")
    first = score_head(reward_model_from(model)).weight
    torch.manual_seed(99)
    assert torch.equal(score_head(reward_model_from(model)).weight, first)
    assert not torch.equal(score_head(reward_model_from(model, seed=1)).weight, first)


def test_a_bfloat16_model_gives_a_bfloat16_reward_model() -> None:
    reward = reward_model_from(causal_lm("llama").bfloat16())
    assert {p.dtype for p in reward.parameters()} == {torch.bfloat16}


def test_adapters_are_part_of_the_reward_model_and_stay_in_the_policy() -> None:
    policy = with_lora(causal_lm("llama"))
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
        state = policy.get_base_model().model(input_ids=IDS).last_hidden_state[0, -1]
        reward = reward_model_from(policy)
        assert torch.allclose(reward(input_ids=IDS).logits[0], score_head(reward)(state), atol=1e-5)
    assert any("lora" in name for name, _ in policy.named_parameters())
    assert not any("lora" in name for name, _ in reward.named_parameters())


@pytest.mark.parametrize("family", ["cohere", "granite"])
def test_architectures_without_sequence_classification_are_refused(family: str) -> None:
    with pytest.raises(ModelError, match=f"no sequence classification for `{family}`") as caught:
        reward_model_from(causal_lm(family))
    assert "another architecture" in str(caught.value.remedy)


def test_with_adapters_the_trained_score_layer_answers() -> None:
    model = with_lora(reward_model_from(causal_lm("llama")))
    state = torch.randn(3, 16)
    before = score_head(model)(state)
    trained: Any = next(p for name, p in model.named_parameters() if "modules_to_save" in name)
    with torch.no_grad():
        trained.mul_(2)
    assert torch.allclose(score_head(model)(state), 2 * before)
    assert torch.allclose(score_head(merged(model))(state), 2 * before)


def test_a_reward_adapter_on_a_language_model_is_loaded_with_its_score_layer(toy_folder: Path, tmp_path: Path) -> None:
    model = with_lora(reward_model_from(load_causal_lm(toy_folder)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
        expected = model(input_ids=IDS).logits
    save_model(model, load_tokenizer(toy_folder), tmp_path / "adapter", merge=False)
    with torch.no_grad():
        found = load_reward_model(tmp_path / "adapter")(input_ids=IDS).logits
    assert torch.allclose(found, expected, atol=1e-5)


# ---- what is no reward model ---------------------------------------------------------------------------------------


def test_a_language_model_is_no_reward_model_and_the_other_way_round(toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it holds a LlamaForCausalLM, not a reward model") as caught:
        load_reward_model(toy_folder)
    assert "truing train reward" in str(caught.value.remedy)
    save_model(reward_model_from(causal_lm("llama")), load_tokenizer(toy_folder), tmp_path / "reward")
    with pytest.raises(ModelError, match="it holds a LlamaForSequenceClassification, not a causal") as caught:
        load_causal_lm(tmp_path / "reward")
    assert "--reward" in str(caught.value.remedy)


def test_an_adapter_of_a_language_model_is_no_reward_model(toy_folder: Path, tmp_path: Path) -> None:
    save_model(with_lora(load_causal_lm(toy_folder)), load_tokenizer(toy_folder), tmp_path / "a", merge=False)
    with pytest.raises(ModelError, match="this adapter is not one of a reward model"):
        load_reward_model(tmp_path / "a")


def test_a_classifier_with_several_labels_is_no_reward_model(tmp_path: Path) -> None:
    config = hf.LlamaConfig(**_COMMON, num_labels=3)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="it has 3 labels"):
        load_reward_model(tmp_path)


def test_a_missing_score_layer_is_an_error_and_not_a_random_start(toy_folder: Path, tmp_path: Path) -> None:
    load_causal_lm(toy_folder).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "reward"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"missing: score\.weight"):
        load_reward_model(tmp_path)


def test_an_encoder_has_no_score_layer(tmp_path: Path) -> None:
    config = hf.BertConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_labels=1
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no `score` layer"):
        load_reward_model(tmp_path)


# ---- values --------------------------------------------------------------------------------------------------------


def test_values_start_at_zero_with_a_gradient() -> None:
    head = value_head(causal_lm("gpt2"))
    values = head(torch.randn(2, 5, 16))
    assert values.shape == (2, 5)
    assert torch.equal(values, torch.zeros(2, 5))
    values.sum().backward()
    assert head.linear.bias.grad is not None
    assert head.linear.bias.grad.item() == 10  # each of 2 x 5 values
    assert head.linear.weight.grad is not None
    assert head.linear.weight.grad.abs().sum() > 0


def test_values_are_float32_for_bfloat16_states_and_under_autocast() -> None:
    head = ValueHead(4)
    nn.init.constant_(head.linear.bias, 1 + 2**-12)  # more digits than bfloat16 has
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = head(torch.zeros(3, 4, dtype=torch.bfloat16))
    assert values.tolist() == [1 + 2**-12] * 3

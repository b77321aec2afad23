"""Toy models of several architectures: 2 layers, 300 tokens, weights large enough that greedy choices are clear."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import transformers

PAD, BOS, END = 0, 1, 2
STOP_IDS = frozenset({END, 7, 9, 40, 55, 81, 120, 200})  # many, so that rows end at different times

_SHAPE = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 128, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": END,
}  # fmt: skip
_GROUPED = {**_SHAPE, "num_key_value_heads": 2}
_GPT = {"vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": BOS, "eos_token_id": END}

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**_GROUPED, "tie_word_embeddings": True}),
    "llama3_rope": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {
            **_GROUPED,
            "attention_bias": True,
            "mlp_bias": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _GROUPED),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**_GROUPED, "head_dim": 16}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**_GROUPED, "sliding_window": None}),
    "mistral_window": ("MistralForCausalLM", "MistralConfig", {**_GROUPED, "sliding_window": 7}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {**_GPT, "n_positions": 128}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", _SHAPE),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {**_GROUPED, "head_dim": 8}),
    "gemma3": (
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        {**_GROUPED, "head_dim": 8, "sliding_window": 7, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", _GROUPED),
    "phi": ("PhiForCausalLM", "PhiConfig", _SHAPE),
    "bloom": ("BloomForCausalLM", "BloomConfig", _GPT),
}


def build(kind: str, seed: int = 0) -> Any:
    """A fresh model, in evaluation mode."""
    model_name, config_name, settings = KINDS[kind]
    torch.manual_seed(seed)
    model = getattr(transformers, model_name)(getattr(transformers, config_name)(**settings))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3 if p.dim() == 2 else 1).add_(torch.randn_like(p) * 0.1)
    # These tests name their end tokens themselves.
    model.generation_config = transformers.GenerationConfig(pad_token_id=PAD, bos_token_id=BOS, eos_token_id=END)
    return model.eval()


@pytest.fixture(scope="session")
def toy() -> Callable[[str], Any]:
    """A model of a kind, shared: not to be changed."""
    return cache(build)


@pytest.fixture
def fresh() -> Callable[[str], Any]:
    """A model of a kind to be changed at will."""
    return build


@pytest.fixture(scope="session")
def ragged() -> list[list[int]]:
    """Seven prompts of 1 to 30 tokens."""
    g = torch.Generator().manual_seed(0)
    return [torch.randint(3, 300, (n,), generator=g).tolist() for n in (5, 17, 2, 9, 1, 30, 12)]


def generated(model: Any, prompt: list[int], new: int, **settings: Any) -> list[int]:
    """What `model.generate(do_sample=False)` says, end token included."""
    ids = torch.tensor([prompt])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False,
        eos_token_id=sorted(STOP_IDS), pad_token_id=PAD, **settings,
    )  # fmt: skip
    return out[0, len(prompt) :].tolist()


def recomputed(model: Any, prompt: list[int], tokens: list[int], temperature: float) -> torch.Tensor:
    """Log-probabilities of response tokens by one plain forward pass."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1].float()
    return (logits / temperature).log_softmax(-1).gather(1, torch.tensor(tokens)[:, None]).squeeze(1)


@pytest.fixture
def greedy_reference() -> Callable[..., list[int]]:
    return generated


@pytest.fixture
def plain_logprobs() -> Callable[..., torch.Tensor]:
    return recomputed

"""Toy models of every family that must work, and the plain way of computing log-probabilities.

Tests reach these through the fixture `toy`: `toy.model("llama")`, `toy.trees()`, `toy.plain_logprobs(model, trees)`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.tree import Branch, Tree

VOCABULARY = 61


def _transformers_config(family: str, **more: Any) -> Any:
    import transformers as hf

    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    few_keys = {**common, "num_key_value_heads": 2}
    gemma = {**few_keys, "head_dim": 8}
    small = {
        "vocab_size": VOCABULARY, "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    configs = {
        "llama": lambda: hf.LlamaConfig(**{**common, "num_key_value_heads": 4, **more}),
        "llama_grouped": lambda: hf.LlamaConfig(**{**few_keys, "tie_word_embeddings": True, **more}),
        "qwen3": lambda: hf.Qwen3Config(**{**few_keys, "head_dim": 8, **more}),
        "mistral": lambda: hf.MistralConfig(**{**few_keys, "sliding_window": 40, **more}),
        "gemma": lambda: hf.GemmaConfig(**{**gemma, **more}),
        "gemma2": lambda: hf.Gemma2Config(**{**gemma, "query_pre_attn_scalar": 8, "sliding_window": 40, **more}),
        "gemma3": lambda: hf.Gemma3TextConfig(**{**gemma, "query_pre_attn_scalar": 8, "sliding_window": 40, **more}),
        "gpt2": lambda: hf.GPT2Config(
            vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2,
            pad_token_id=0, **more,
        ),
        "gpt_neox": lambda: hf.GPTNeoXConfig(**{**common, **more}),
        "phi": lambda: hf.PhiConfig(**{**few_keys, **more}),
        "olmo2": lambda: hf.Olmo2Config(**{**few_keys, **more}),
        "opt": lambda: hf.OPTConfig(
            **{**common, "ffn_dim": 48, "word_embed_proj_dim": 16, **more}
        ),
        "cohere": lambda: hf.CohereConfig(**{**few_keys, "logit_scale": 0.25, **more}),
        "granite": lambda: hf.GraniteConfig(**{**few_keys, "logits_scaling": 4.0, **more}),
        "gpt_oss": lambda: hf.GptOssConfig(
            **{**gemma, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 40, **more}
        ),
        "bloom": lambda: hf.BloomConfig(
            vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            **more,
        ),
        "mamba": lambda: hf.MambaConfig(**{**small, "state_size": 4, **more}),
    }  # fmt: skip
    return configs[family]()


def model(family: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **more: Any) -> Any:
    """A small causal LM, its weights doubled so that a token that sees too much or too little shows."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    toy = AutoModelForCausalLM.from_config(_transformers_config(family, **more), dtype=dtype)
    with torch.no_grad():
        for parameter in toy.parameters():
            if parameter.dim() == 2:
                parameter.copy_(torch.randn(parameter.shape) * 0.15)
            else:
                parameter.add_(torch.randn(parameter.shape) * 0.05)
    return toy.train()


def branch(*tokens: int) -> Branch:
    return Branch(list(tokens), [True] * len(tokens))


def trees(seed: int = 0) -> list[Tree]:
    """Trees of 1, 2 and 5 branches of ragged lengths; an empty branch; an empty prompt; a prompt of one token."""
    draw = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> list[int]:
        return torch.randint(3, VOCABULARY, (count,), generator=draw).tolist()

    shapes = [(5, [7]), (9, [4, 11]), (3, [1, 6, 0, 2, 9]), (0, [5, 3]), (1, [2, 2])]
    made = [Tree(tokens(prompt), [branch(*tokens(size)) for size in sizes]) for prompt, sizes in shapes]
    made[1].branches[1].mask[2:5] = [False] * 3  # somebody else's turn
    return made


def plain_logprobs(model: Any, trees: list[Tree], temperature: float = 1.0) -> Tensor:
    """[rows, tokens] of trained tokens by transformers' own padded forward and a full log-softmax; zero elsewhere."""
    rows = [(tree.prompt, each) for tree in trees for each in tree.branches]
    width = max(len(prompt) + len(each.tokens) for prompt, each in rows)
    token_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros_like(token_ids)
    for row, (prompt, each) in enumerate(rows):
        line = prompt + each.tokens
        token_ids[row, : len(line)] = torch.tensor(line)
        attention_mask[row, : len(line)] = 1
    logits = model(input_ids=token_ids, attention_mask=attention_mask, use_cache=False).logits
    logs = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature, -1)
    longest = max(len(each.tokens) for _, each in rows)
    lines = []
    for row, (prompt, each) in enumerate(rows):
        cells = [
            logs[row, len(prompt) + t - 1, each.tokens[t]]
            if t < len(each.tokens) and each.mask[t] and len(prompt) + t > 0
            else logs.new_zeros(())
            for t in range(longest)
        ]
        lines.append(torch.stack(cells))
    return torch.stack(lines)


@pytest.fixture
def toy() -> SimpleNamespace:
    """The functions of this file."""
    return SimpleNamespace(
        model=model, branch=branch, trees=trees, plain_logprobs=plain_logprobs, vocabulary=VOCABULARY
    )

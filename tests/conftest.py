"""A toy model and toy data that every room may train on: seconds, no download."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
import torch

from truing.caches import cache_folder

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that would download fails at once
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))  # kernels are compiled once, not for every run
_cache = tempfile.TemporaryDirectory(prefix="truing-cache-")
os.environ["TRUING_CACHE"] = _cache.name  # not the one of whoever runs the tests; it goes when they end
torch.set_num_threads(1)

WORDS = (
    *["the", "a", "cat", "dog", "bird", "sat", "ran", "flew", "on", "under", "over", "mat", "tree"],
    *["moon", "red", "blue", "old", "young", "and", "then", "it", "was", "good", "bad"],
)


def sentence(seed: int, length: int = 6) -> str:
    """A reproducible sentence of known words."""
    return " ".join(WORDS[(seed * 7 + i * (seed % 5 + 3)) % len(WORDS)] for i in range(length))


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Llama of 20,000 parameters and a byte-level BPE tokenizer with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>", "<user>", "<bot>"]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([sentence(i, 12) for i in range(50)], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
        extra_special_tokens=["<user>", "<bot>"],
    )  # fmt: skip
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<bot>{{ m.content }}{{ eos_token }}"
        "{% else %}<user>{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("toy") / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 demonstrations, prompt and completion."""
    rows = [{"prompt": sentence(i, 4), "completion": sentence(i + 1, 3 + i % 5)} for i in range(40)]
    return _write(tmp_path_factory.mktemp("data") / "demonstrations.jsonl", rows)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs: an answer is preferred that ends in 'good' over one that ends in 'bad'."""
    rows = [
        {"prompt": sentence(i, 4), "chosen": sentence(i + 1, 3) + " good", "rejected": sentence(i + 2, 4) + " bad"}
        for i in range(40)
    ]
    return _write(tmp_path_factory.mktemp("data") / "pairs.jsonl", rows)


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 bare prompts with a column for a reward."""
    rows = [{"prompt": sentence(i, 4), "answer": WORDS[i % len(WORDS)]} for i in range(40)]
    return _write(tmp_path_factory.mktemp("data") / "prompts.jsonl", rows)

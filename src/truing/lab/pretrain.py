"""Trains the base model of the embedded world: `python -m truing.lab.pretrain --out FOLDER`.

Nine to fifteen minutes on one core of a busy machine. The result is shipped in `lab/base`, so nobody needs to
run this to use Truing. Small batches (512 tokens) made the better model in the same time than larger ones; a model
pretrained for three minutes is too weak: reinforcement learning on its arithmetic never starts.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from truing.lab.calculation import chain
from truing.lab.documents import documents
from truing.lab.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["Settings", "document_loss", "new_model", "pretrain", "save", "sum_accuracy"]

HELD_OUT_SEED = 99


@dataclass(frozen=True, slots=True)
class Settings:
    """What the shipped model was made with."""

    num_documents: int = 20_000
    num_steps: int = 9_000
    rows: int = 4
    row_length: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 0


def new_model(vocabulary: int, seed: int) -> LlamaForCausalLM:
    """An untrained Llama of 0.84 M parameters; ids 0, 1, 2 are pad, bos, eos."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        # 0.05 and not 0.02: narrow layers need larger weights for their outputs to start at a useful size.
        initializer_range=0.05,
    )
    return LlamaForCausalLM(config)


def encoded(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    """Token ids of each text between bos and eos."""
    assert tokenizer.bos_token_id is not None
    assert tokenizer.eos_token_id is not None
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [[tokenizer.bos_token_id, *row, tokenizer.eos_token_id] for row in ids]


def _batches(stream: Tensor, settings: Settings) -> Iterator[Tensor]:
    """Rows cut from the stream of tokens, in a new order each epoch, for ever: [rows, row_length]."""
    table = stream[: len(stream) // settings.row_length * settings.row_length].view(-1, settings.row_length)
    assert len(table) >= settings.rows, "too few documents for one batch"
    generator = torch.Generator().manual_seed(settings.seed)
    while True:
        order = torch.randperm(len(table), generator=generator)
        for rows in torch.split(order, settings.rows):
            if len(rows) == settings.rows:
                yield table[rows]


def _learning_rate(step: int, settings: Settings) -> float:
    """5 % linear warm-up, then a cosine down to a tenth."""
    warmup = max(1, settings.num_steps // 20)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.num_steps - warmup)
    return settings.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def pretrain(settings: Settings, *, every: int = 250) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Tokenizer and model from nothing; says how it goes every `every` steps."""
    texts = documents(settings.num_documents, settings.seed)
    tokenizer = build_tokenizer(texts)
    model = new_model(len(tokenizer), settings.seed)
    stream = torch.tensor([token for row in encoded(tokenizer, texts) for token in row])
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=settings.weight_decay, fused=True
    )
    print(f"{model.num_parameters():,} parameters, {len(stream):,} tokens of {len(texts):,} documents", flush=True)
    model.train()
    begin, losses = time.monotonic(), []
    for step, rows in zip(range(settings.num_steps), _batches(stream, settings), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, settings)
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % every == 0 or step + 1 == settings.num_steps:
            spent = time.monotonic() - begin
            left = spent / (step + 1) * (settings.num_steps - step - 1)
            mean = sum(losses[-every:]) / len(losses[-every:])
            print(
                f"step {step + 1}/{settings.num_steps}  loss {mean:.3f}  {spent:.0f} s, {left:.0f} s left", flush=True
            )
    return model.eval(), tokenizer  # type: ignore[no-untyped-call]


@torch.no_grad()
def document_loss(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, num: int = 200) -> float:
    """Mean negative log-likelihood per token of documents that were not trained on, in nats."""
    total, count = 0.0, 0
    for row in encoded(tokenizer, documents(num, HELD_OUT_SEED)):
        ids = torch.tensor([row])
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        total += cross_entropy(logits[0], ids[0, 1:], reduction="sum").item()
        count += len(row) - 1
    return total / count


@torch.no_grad()
def sum_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, num: int = 200) -> float:
    """Share of sums such as `37 - 6 =` that the model completes rightly, greedily."""
    rng, right = Random(HELD_OUT_SEED), 0
    for _ in range(num):
        left, number = rng.randint(13, 40), rng.randint(1, 12)
        calculation = f"{left} {rng.choice('+-')} {number}"
        ids = encoded(tokenizer, [f"{calculation} ="])[0][:-1]
        guess = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()
        right += tokenizer.decode([int(guess)]) == str(chain(calculation)[0].result)
    return right / num


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """A standard Hugging Face folder, weights in float16.

    Its config says float32, so that the weights are computed with in float32 wherever they are loaded by default:
    float16 halves the file, but is no type to train in on a CPU.
    """
    import copy

    copy.deepcopy(model).half().save_pretrained(out)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(out)
    _overwrite(out / "config.json", dtype="float32")
    # The name that every release of transformers knows; the newest one writes its own.
    _overwrite(out / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    (out / "model.safetensors").chmod(0o644)


def _overwrite(path: Path, **keys: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys, indent=2) + "\n")


_README = """\
# The base model of Truing's embedded world

A Llama of {parameters:,} parameters ({layers} layers, hidden size {hidden}, vocabulary {vocabulary}), pretrained on \
{documents:,} generated documents ({steps:,} steps of {tokens} tokens) by

    python -m truing.lab.pretrain --out FOLDER

in {seconds:.0f} s on one processor core. It continues text; it was not taught to answer. Weights are stored in
float16 and meant to be loaded as float32 (as the config says). No prompt of the splits dev, test and new was
among the documents.

| figure | value |
|---|---|
| loss on held-out documents, nats a token | {loss:.3f} |
| sums such as `37 - 6 =` completed rightly | {accuracy:.1%} |
"""


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and its tokenizer")
    parser.add_argument("--steps", type=int, default=Settings().num_steps)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings(num_steps=arguments.steps)
    begin = time.monotonic()
    model, tokenizer = pretrain(settings)
    save(model, tokenizer, arguments.out)
    model = type(model).from_pretrained(arguments.out)  # the figures are those of the rounded weights
    readme = _README.format(
        parameters=model.num_parameters(),
        layers=model.config.num_hidden_layers,
        hidden=model.config.hidden_size,
        vocabulary=model.config.vocab_size,
        documents=settings.num_documents,
        steps=settings.num_steps,
        tokens=settings.rows * settings.row_length,
        seconds=time.monotonic() - begin,
        loss=document_loss(model, tokenizer),
        accuracy=sum_accuracy(model, tokenizer),
    )
    (arguments.out / "README.md").write_text(readme)
    print(readme, flush=True)


if __name__ == "__main__":
    main()

"""What the sides of the generation benchmark share: model, prompts, and the least time that the work can take."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from common.limit import forward
from common.models import Size

__all__ = ["END", "PAD", "Floor", "floor", "make_model", "make_prompts", "read_rate"]

PAD, END = 0, 1


def make_model(size: Size, mean: float | None) -> Any:
    """A random Llama whose next token is END with a chance of 1 / mean, or never; and never PAD. The same for all."""
    import torch
    from torch import nn
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        head_dim=size.head_width,
        intermediate_size=size.inner,
        vocab_size=size.vocabulary,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=END,
        eos_token_id=END,
    )
    model: Any = LlamaForCausalLM(config)
    head = nn.Linear(size.hidden, size.vocabulary)
    head.weight = model.lm_head.weight
    with torch.no_grad():
        head.bias.zero_()
        head.bias[PAD] = -math.inf  # what follows a response's end is told by it
        # the other logits are small beside log(vocabulary), so that softmax gives about e^bias / vocabulary
        head.bias[END] = -math.inf if mean is None else math.log(size.vocabulary / mean)
    model.lm_head = head
    return model.train(False)


def make_prompts(count: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Log-normal lengths around 150, between 8 and 512 (as hh-rlhf has them)."""
    rng = random.Random(f"prompts/{seed}")
    lengths = [int(min(512, max(8, math.exp(rng.gauss(math.log(150) - 0.245, 0.7))))) for _ in range(count)]
    return [[rng.randrange(3, vocabulary) for _ in range(length)] for length in lengths]


def read_rate(rounds: int = 7) -> float:
    """Bytes per CPU second at which this machine reads memory that no cache holds: a sum over 256 MB, the median."""
    import torch

    numbers = torch.ones(64 * 2**20)
    rates = []
    for _ in range(rounds):
        began = time.process_time()
        numbers.sum()
        rates.append(numbers.nbytes / (time.process_time() - began))
    return median(rates)


@dataclass(frozen=True, slots=True)
class Floor:
    """CPU seconds that nobody can do without: `products` for the matrix products alone; `roofline` for the prompts and
    then each step whichever takes longer, its products or reading weights, keys and values once from memory."""

    products: float
    roofline: float


def floor(
    size: Size, prompts: Sequence[int], responses: Sequence[Sequence[int]], gemm_rate: float, read_rate: float
) -> Floor:
    """Of prompts with so many tokens and their responses with so many tokens each, all of them in the making at once.

    Each prompt once. A response's first token comes from the prompt's logits, and its last one goes nowhere.
    """
    weights = 4 * (size.body_weights + size.head_weights)
    cached = 4 * 2 * size.key_heads * size.head_width * size.layers  # bytes of a token's keys and values
    work = [
        (
            forward(size, sum(prompts), len(prompts), sum(n * (n + 1) / 2 for n in prompts)),
            weights,
        )
    ]
    for age in range(1, max(map(max, responses))):
        living = [(n, sum(length > age for length in group)) for n, group in zip(prompts, responses, strict=True)]
        rows = sum(count for _, count in living)
        seen = sum(count * (n + age) for n, count in living)
        read = sum(n for n, count in living if count) + rows * age
        work.append((forward(size, rows, rows, seen), weights + cached * read))
    return Floor(
        products=sum(operations for operations, _ in work) / gemm_rate,
        roofline=sum(max(operations / gemm_rate, read / read_rate) for operations, read in work),
    )

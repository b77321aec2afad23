"""Rollouts against `model.generate`: the same model, prompts, sampling and number of samples, alternating A B A B.

    python benchmarks/generation.py --size S --batch 8 32 128 --repeat 3

One thread, float32, CPU time of the process, medians. Prompts are log-normal around 150 tokens; an end token is made
likely enough that responses have `--mean` tokens on average, of at most `--new`. Useful tokens are counted: those of
the responses up to and with the end token. `limit` is the share of the time that the unavoidable matrix products
(each prompt once, each response token once) would take at the rate of a large product measured in the same run.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

SIZES: dict[str, dict[str, Any]] = {
    "S": {"hidden_size": 256, "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
          "intermediate_size": 1024, "vocab_size": 8192},
    "M": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4,
          "intermediate_size": 2048, "vocab_size": 32768},
}  # fmt: skip
PAD, END = 0, 1


def make_model(size: str, mean: int) -> Any:
    """A random Llama whose next token is END with a chance of about 1 / mean."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **SIZES[size], head_dim=64, max_position_embeddings=2048, tie_word_embeddings=True,
        pad_token_id=PAD, bos_token_id=END, eos_token_id=END,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    head = nn.Linear(config.hidden_size, config.vocab_size)
    head.weight = model.lm_head.weight
    with torch.no_grad():
        head.bias.zero_()
        head.bias[END] = math.log(config.vocab_size / mean)
    model.lm_head = head
    return model.train(False)


def make_prompts(count: int, vocab: int, seed: int) -> list[list[int]]:
    """Log-normal lengths around 150, between 8 and 512 (as hh-rlhf has them)."""
    rng = random.Random(seed)
    lengths = [int(min(512, max(8, math.exp(rng.gauss(math.log(150) - 0.245, 0.7))))) for _ in range(count)]
    return [[rng.randrange(3, vocab) for _ in range(length)] for length in lengths]


def peer(model: Any, prompts: list[list[int]], group: int, new: int) -> int:
    """`model.generate` with left padding; useful tokens."""
    from transformers import GenerationConfig

    rows = [p for p in prompts for _ in range(group)]
    width = max(map(len, rows))
    ids = torch.tensor([[PAD] * (width - len(p)) + p for p in rows])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in rows])
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=new, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=PAD, eos_token_id=END
    )
    out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
    return sum(row.index(END) + 1 if END in row else len(row) for row in out)


def ours(model: Any, prompts: list[list[int]], group: int, new: int) -> int:
    """Local rollouts from cold, the check against the model's own forward included; useful tokens."""
    from truing.rollouts.local import LocalRollouts, Sampling

    rollouts = LocalRollouts(model, stop_ids=frozenset([END]), pad_id=PAD)
    samples = rollouts.generate(prompts, group, Sampling(max_new_tokens=new))
    assert rollouts.engine == "lean", rollouts.engine
    return sum(len(s.tokens) for row in samples for s in row)


def product_rate() -> float:
    """Floating-point operations per second of a large matrix product, one thread."""
    x = torch.randn(1024, 1024)
    times = []
    for _ in range(12):
        begin = time.process_time()
        x @ x
        times.append(time.process_time() - begin)
    return 2 * 1024**3 / statistics.median(times[2:])


def measure(side: Callable[[Any, list[list[int]], int, int], int], *work: Any) -> tuple[float, int]:
    """CPU seconds, useful tokens."""
    begin = time.process_time()
    tokens = side(*work)
    return time.process_time() - begin, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32, 128], help="responses at once")
    parser.add_argument("--group", type=int, default=8, help="samples of each prompt")
    parser.add_argument("--new", type=int, default=96, help="max_new_tokens")
    parser.add_argument("--mean", type=int, default=48, help="mean response length aimed at")
    parser.add_argument("--repeat", type=int, default=3)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    model = make_model(settings.size, settings.mean)
    sizes = SIZES[settings.size]
    body = sum(p.numel() for n, p in model.model.named_parameters() if p.dim() == 2 and "embed" not in n)
    head = sizes["vocab_size"] * sizes["hidden_size"]
    print("batch group  generate tok/s  truing tok/s  ratio        spread  limit")
    for batch in settings.batch:
        group = min(settings.group, batch)
        prompts = make_prompts(batch // group, sizes["vocab_size"], seed=batch)
        rates: dict[str, list[float]] = {"peer": [], "ours": []}
        limits = []
        for repeat in range(settings.repeat + 1):
            for name, side in (("peer", peer), ("ours", ours)):
                torch.manual_seed(repeat)
                seconds, tokens = measure(side, model, prompts, group, settings.new)
                if repeat > 0:  # the first pair warms up
                    rates[name].append(tokens / seconds)
            if repeat > 0:
                work = 2 * body * (tokens + sum(map(len, prompts))) + 2 * head * tokens
                limits.append(work / product_rate() / seconds)
        ratios = [b / a for a, b in zip(rates["peer"], rates["ours"], strict=True)]
        a, b = (statistics.median(rates[name]) for name in ("peer", "ours"))
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(
            f"{batch:5} {group:5} {a:15.0f} {b:13.0f} {statistics.median(ratios):5.1f}x {spread:>13} "
            f"{statistics.median(limits):6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

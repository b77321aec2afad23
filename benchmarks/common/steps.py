"""What the runs of online methods come to: the parts of their steps, and how near these are to the limit."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from common.groups import Group
from common.models import Size
from common.online import generation, of_step, training

__all__ = ["check_prompts", "figures"]


def check_prompts(side: str, lengths: Sequence[Any], prompts: Sequence[Group], number: int) -> None:
    """Each side says which prompts it saw at each step: those that were written, or the comparison is off."""
    sizes = [len(group.prompt) for group in prompts]
    expected = [sizes[i : i + number] for i in range(0, len(sizes), number)]
    seen = [[prompt for prompt, _ in step] for step in lengths]
    if seen != expected:
        sys.exit(f"{side} saw prompts of {seen} tokens at its steps, and {expected} were written")


def figures(result: Mapping[str, Any], size: Size, *, forwards: float) -> dict[str, Any]:
    """What one run comes to; `forwards` is what its training needs at least, a backward pass counting as two."""
    # The first step also warms caches, allocators and (Truing) checks its attention: left out, here and there.
    cpu, drawn = result["cpu_steps"][1:], [of_step(step) for step in result["lengths"]][1:]
    sampling = [step["cpu/generation"] for step in result["steps"]][1:]
    rest = [all_of - part for all_of, part in zip(cpu, sampling, strict=True)]
    making = [step["cpu/experience"] - step["cpu/generation"] for step in result["steps"]][1:]
    rate = max(result["gemm_rates"].values())
    return {
        "cpu_step": median(cpu),
        "cpu_generation": median(sampling),
        "cpu_making": median(making),
        "cpu_update": median(r - m for r, m in zip(rest, making, strict=True)),
        "cpu_per_token": sum(cpu) / sum(d.useful for d in drawn),
        "generation_per_token": sum(sampling) / sum(d.response for d in drawn),
        "training_per_token": sum(rest) / sum(d.useful for d in drawn),
        "generation_share": median(generation(size, d) / rate / c for d, c in zip(drawn, sampling, strict=True)),
        "training_share": median(training(size, d, forwards=forwards) / rate / c
                                 for d, c in zip(drawn, rest, strict=True)),
        "lengths": result["lengths"],
        "prompt": fmean(p for step in result["lengths"] for p, _ in step),
        "responses": [r for step in result["lengths"] for _, rs in step for r in rs],
        **{
            key: result[key]
            for key in ("cpu_process", "cpu_imports", "cpu_loading", "peak_megabytes", "gemm_rates", "cpu_steps")
        },
        "steps": result["steps"],
    }  # fmt: skip

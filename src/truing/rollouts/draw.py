"""From logits to the next token and its log-probability. Pure functions of tensors, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from truing.models.kernels.compiler import fits, spread
from truing.rollouts.inverse import draw_rows
from truing.rollouts.sampling import Sampling

__all__ = ["inverse_cdf", "next_tokens", "noise", "penalised", "truncated"]

_BLOCK = 128
_MOST = 1 - 4 * math.ulp(1)  # of a sum: rounding may not lead past its end
_GRAIN = 50_000  # so many logits are worth waking a thread up for
_CANDIDATES = 64  # a nucleus is rarely larger; when one is, we look further


def noise(seeds: Sequence[int], length: int) -> Tensor:
    """Uniform numbers in [0, 1), [len(seeds), length], float64 on the CPU: one stream per seed.

    A shorter length is a prefix of a longer one.
    """
    out = torch.empty(len(seeds), length, dtype=torch.float64)
    generator = torch.Generator()
    for row, seed in zip(out, seeds, strict=True):
        row.uniform_(generator=generator.manual_seed(seed))
    return out


def next_tokens(
    logits: Tensor, uniforms: Tensor, sampling: Sampling, seen: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Tokens [rows] and their log-probabilities [rows] (see `Sample`), from logits [rows, vocab].

    `uniforms` [rows] in [0, 1) decide (unless greedy); `seen` [rows, vocab] marks the tokens that the repetition
    penalty weighs down. Works in float32, the cumulative sums in float64. A row whose logits are not finite gets some
    token and a log-probability that is NaN.
    """
    assert (seen is not None) == (sampling.repetition_penalty != 1)
    if fits(logits) and seen is None and not sampling.greedy and not sampling.truncated:
        return _drawn(logits, uniforms, sampling.temperature)
    scores = logits.float()
    if sampling.temperature not in (0, 1):
        scores = scores / sampling.temperature
    policy = scores.softmax(-1)
    chances = policy
    if seen is not None:
        drawn_from = penalised(logits.float(), seen, sampling.repetition_penalty)
        if not sampling.greedy:
            chances = (drawn_from / sampling.temperature).softmax(-1)
    else:
        drawn_from = scores
    if sampling.greedy:
        tokens = drawn_from.argmax(-1)
    elif sampling.truncated:
        weights, ids = truncated(chances, sampling)
        place = inverse_cdf(weights, uniforms)
        tokens = place if ids is None else ids.gather(1, place[:, None]).squeeze(1)
    else:
        tokens = inverse_cdf(chances, uniforms)
    if seen is None:  # what is drawn has a probability that float32 holds
        return tokens, policy.gather(1, tokens[:, None]).squeeze(1).log_()
    # log p = z − max z − log Σ e^(z − max z), and the likeliest token's p is 1 / Σ: no second pass, no underflow.
    gap = scores.gather(1, tokens[:, None]).squeeze(1) - scores.amax(-1)
    return tokens, gap + policy.amax(-1).log()


def _drawn(logits: Tensor, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The plain draw on a CPU, compiled."""
    rows, vocab = logits.shape
    tokens, logprobs = torch.empty(rows, dtype=torch.long), torch.empty(rows)
    arrays = (logits.detach().contiguous().numpy(), np.float32(1 / temperature), uniforms.contiguous().numpy())
    spread(draw_rows, *arrays, tokens.numpy(), logprobs.numpy(), count=rows, at_least=_GRAIN // vocab)
    return tokens, logprobs


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits [rows, vocab] of `seen` tokens made less likely (arXiv:1909.05858)."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def truncated(chances: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    """What top-k, top-p and min-p leave of probabilities [rows, vocab]: weights, not normalised, 0 = cannot be drawn.

    Either over the vocabulary (ids None) or, for top-k and top-p, over the likeliest tokens `ids`, likeliest first.
    """
    if sampling.top_k == 0 and sampling.top_p == 1:
        floor = chances.amax(-1, keepdim=True) * sampling.min_p
        return chances * (chances >= floor), None
    vocab = chances.shape[-1]
    width = min(vocab, sampling.top_k or _CANDIDATES)
    while True:
        weights, ids = chances.topk(width)
        kept = weights >= weights[:, :1] * sampling.min_p
        if sampling.top_p == 1:
            break
        mass = weights.cumsum(-1, dtype=torch.float64)
        # Top-p works on what top-k left, scaled up to 1; without top-k the whole is 1 already.
        kept &= mass - weights < sampling.top_p * (mass[:, -1:] if sampling.top_k else 1.0)
        if sampling.top_k or width == vocab or not bool(kept[:, -1].any()):
            break
        width = min(vocab, 4 * width)
    return weights * kept, ids


def inverse_cdf(weights: Tensor, uniforms: Tensor) -> Tensor:
    """The first index [rows] at which the running sum of weights [rows, n] passes uniform × total.

    In two levels, blocks and then inside one: a running sum over the vocabulary in float64 would cost more than the
    softmax, and one in float32 would lose the rare tokens. An index of weight 0 is never returned.
    """
    rows, n = weights.shape
    whole = n // _BLOCK * _BLOCK
    sums = weights[:, :whole].view(rows, -1, _BLOCK).sum(-1).double()
    if whole < n:
        sums = torch.cat([sums, weights[:, whole:].sum(-1, keepdim=True).double()], -1)
    running = sums.cumsum(-1)
    goal = uniforms[:, None].clamp(max=_MOST) * running[:, -1:]
    block = torch.searchsorted(running, goal, right=True).clamp_(max=sums.shape[1] - 1)  # past the end only for NaN
    rest = (goal - running.gather(1, block) + sums.gather(1, block)).clamp_(min=0)  # how far into the block
    inside = block * _BLOCK + torch.arange(_BLOCK, device=weights.device)
    part = weights.gather(1, inside.clamp(max=n - 1)).double()
    if whole < n:
        part *= inside < n
    running = part.cumsum(-1)
    place = torch.searchsorted(running, torch.minimum(rest, running[:, -1:] * _MOST), right=True)
    return (block * _BLOCK + place).squeeze(1).clamp_(max=n - 1)

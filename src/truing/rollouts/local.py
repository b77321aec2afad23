"""Rollouts in this process: any causal LM, continuously batched, one prefill per prompt.

Prompts wait in a queue; a row is a response in the making. Ended rows leave at once and rows of waiting prompts take
their room. Two engines run the model: `lean` where the model has Llama's shape and its first logits agree with
the model's own, `generic` everywhere else. Both read the live weights on every call, so training between calls needs
no notice.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from truing.errors import DataError, ModelError, RecipeError, TrainingError
from truing.rollouts.draw import next_tokens, noise
from truing.rollouts.engine import Engine, Moves, fill_holes
from truing.rollouts.generic import GenericEngine
from truing.rollouts.lean.engine import LeanEngine
from truing.rollouts.lean.weights import Unfit, Weights, read_weights
from truing.rollouts.sampling import Sample, Sampling, ends_with_stop, sample_seeds

__all__ = ["LocalRollouts", "Sample", "Sampling"]

_CHECKED_TOKENS = 16  # of a prompt, compared with the model's own forward before the lean engine is trusted
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}  # of the largest logit, at least of 1


class LocalRollouts:
    """Samples responses from a model in this process.

    `model`: a causal LM of transformers, also wrapped by peft or DistributedDataParallel. `stop_ids` end a response.
    `decode` (tokens to text) is needed for stop strings. At most `max_batch` responses are in the making at once, and
    no more than fit into `cache_tokens` tokens of keys and values if each had the longest prompt to itself.
    """

    def __init__(
        self,
        model: Any,
        *,
        stop_ids: frozenset[int],
        pad_id: int,
        decode: Callable[[list[int]], str] | None = None,
        max_batch: int = 128,
        cache_tokens: int | None = None,
    ) -> None:
        if max_batch < 1:
            raise RecipeError(f"max_batch = {max_batch}", where="rollouts", remedy="It must be at least 1.")
        self.model = model
        self.stop_ids, self.pad_id, self.decode = stop_ids, pad_id, decode
        self.max_batch, self.cache_tokens = max_batch, cache_tokens
        self.engine: str | None = None
        """What ran the last call: `lean`, or `generic` and why."""
        self._checks: list[tuple[object, str | None]] = []  # of the lean engine: what was compared, what was wrong

    def generate(self, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> list[list[Sample]]:
        """`num_samples` responses to each prompt: [prompt][sample].

        Errors: DataError for a prompt that is empty, has unknown tokens or leaves too few positions; RecipeError for
        settings that cannot be met; ModelError for a model that is no causal LM with a key/value cache; TrainingError
        when the model's logits are not finite.
        """
        core = _core(self.model)
        self._check(core, prompts, num_samples, sampling)
        if not prompts or num_samples == 0:
            return [[] for _ in prompts]
        longest = max(map(len, prompts))
        seeds = None
        if not sampling.greedy:
            seed = int(torch.randint(2**62, ()).item()) if sampling.seed is None else sampling.seed
            seeds = sample_seeds(prompts, num_samples, seed)
        with _evaluating(core):
            wanted = len(prompts) * num_samples
            engine, max_rows = self._start(core, prompts[0], longest, sampling.max_new_tokens, wanted)
            return _Run(self, engine, max_rows, prompts, num_samples, sampling, seeds).finish()

    @staticmethod
    def core(model: Any) -> Any:
        """The causal LM inside wrappers."""
        return _core(model)

    def _check(self, core: Any, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> None:
        if num_samples < 0:
            raise RecipeError(f"num_samples = {num_samples}", where="rollouts", remedy="It must be at least 1.")
        if sampling.stop and self.decode is None:
            raise RecipeError(
                f"stop strings {list(sampling.stop)} but nothing that turns tokens into text",
                where="rollouts",
                remedy="Pass LocalRollouts(..., decode=tokenizer.decode).",
            )
        config = core.config.get_text_config(decoder=True)
        positions = getattr(config, "max_position_embeddings", None)
        vocab = core.get_input_embeddings().weight.shape[0]
        for number, prompt in enumerate(prompts):
            if not prompt:
                raise DataError(
                    "no tokens", where=f"prompt {number}", remedy="Begin with a BOS token to sample from nothing."
                )
            if positions is not None and len(prompt) + sampling.max_new_tokens > positions:
                raise DataError(
                    f"{len(prompt)} tokens and max_new_tokens = {sampling.max_new_tokens} are more than the model's "
                    f"{positions} positions",
                    where=f"prompt {number}",
                    remedy="Shorten the prompt or lower max_new_tokens.",
                )
            if not 0 <= min(prompt) <= max(prompt) < vocab:
                raise DataError(
                    f"token {max(prompt) if max(prompt) >= vocab else min(prompt)} in a vocabulary of {vocab}",
                    where=f"prompt {number}",
                    remedy="The tokenizer does not belong to this model.",
                )

    def _start(
        self, core: Any, prompt: list[int], longest: int, max_new_tokens: int, wanted: int
    ) -> tuple[Engine, int]:
        """An engine with empty rows, and how many it has."""
        sizes = {"longest_prompt": longest, "max_new_tokens": max_new_tokens}
        try:
            weights = read_weights(core, longest + max_new_tokens).packed()
            fault = self._distrust(core, weights, prompt)
            if fault is None:
                max_rows = self._max_rows(wanted, longest + max_new_tokens)
                engine = LeanEngine(weights, max_rows=max_rows, **sizes)
                self.engine = "lean"
                return engine, max_rows
        except Unfit as unfit:
            fault = str(unfit)
        self.engine = f"generic: {fault}"
        max_rows = self._max_rows(wanted, longest + 2 * max_new_tokens)
        return GenericEngine(core, pad_id=self.pad_id, max_rows=max_rows, **sizes), max_rows

    def _max_rows(self, wanted: int, tokens_per_row: int) -> int:
        if self.cache_tokens is None:
            return min(wanted, self.max_batch)
        if self.cache_tokens < tokens_per_row:
            raise RecipeError(
                f"cache_tokens = {self.cache_tokens} does not hold one response, which may take {tokens_per_row}",
                where="rollouts",
                remedy="Raise cache_tokens, lower max_new_tokens or shorten the prompts.",
            )
        return min(wanted, self.max_batch, self.cache_tokens // tokens_per_row)

    def _distrust(self, core: Any, weights: Weights, prompt: list[int]) -> str | None:
        """What is wrong with the lean engine on this model, by its logits; asked once for each arithmetic."""
        for signature, fault in self._checks:
            if signature == weights.signature:
                return fault
        tokens = (prompt * 2)[: max(2, min(len(prompt), _CHECKED_TOKENS))]
        with torch.no_grad():
            own = core(input_ids=torch.tensor([tokens], device=weights.embedding.device)).logits[0, -2:].float()
        engine = LeanEngine(weights, max_rows=1, longest_prompt=len(tokens), max_new_tokens=1)
        (group,), before = engine.prefill([tokens[:-1]])
        engine.spawn([group])
        after = engine.step(torch.tensor(tokens[-1:], device=engine.device))
        gap = (torch.cat([before, after]).float() - own).abs().max().item()
        bound = _TOLERANCE[engine.dtype] * max(1.0, own.abs().max().item())
        # Logits that are not finite are nobody's fault here: the run that follows names them.
        fault = f"first logits differ from the model's own by {gap:.2g}" if gap > bound else None
        self._checks.append((weights.signature, fault))
        if fault:
            warnings.warn(
                f"{type(core).__name__} looks like Llama and is not: {fault}. Rollouts use the slower generic path.",
                stacklevel=4,
            )
        return fault


@dataclass(slots=True)
class _Row:
    """A response in the making."""

    prompt: int
    group: int
    sample: Sample


class _Run:
    """One call of `generate`: the queue, the rows, and what travels with each row."""

    def __init__(
        self,
        rollouts: LocalRollouts,
        engine: Engine,
        max_rows: int,
        prompts: Sequence[list[int]],
        num_samples: int,
        sampling: Sampling,
        seeds: list[list[int]] | None,
    ) -> None:
        self.stop_ids, self.decode = rollouts.stop_ids, rollouts.decode
        self.engine, self.max_rows = engine, max_rows
        self.prompts, self.num_samples, self.sampling, self.seeds = prompts, num_samples, sampling, seeds
        self.samples: list[list[Sample]] = [[] for _ in prompts]
        self.waiting = deque(range(len(prompts)))
        self.rows: list[_Row] = []
        self.logits: Tensor | None = None  # [rows, vocab] of the next tokens
        self.first: dict[int, tuple[int, Tensor]] = {}  # group and first logits of prompts that still wait
        self.living: dict[int, int] = {}  # rows of each group
        self.uniforms = torch.empty(0)  # [max_rows, max_new_tokens]
        self.seen: Tensor | None = None  # bool [max_rows, vocab]

    def finish(self) -> list[list[Sample]]:
        while self.waiting or self.rows:
            self._admit()
            tokens = self._draw()
            left = self._leave(tokens)
            self.logits = self.engine.step(left) if self.rows else None
        return self.samples

    def _admit(self) -> None:
        """Fills free rows from the queue, once there is room for a whole group or for an eighth of all rows."""
        free = self.max_rows - len(self.rows)
        if not self.waiting or (self.rows and free < min(self.num_samples, max(1, self.max_rows // 8))):
            return
        taken: list[tuple[int, int]] = []  # prompt, number of its samples
        for prompt in self.waiting:
            count = min(free, self.num_samples - len(self.samples[prompt]))
            if count == 0:
                break
            taken.append((prompt, count))
            free -= count
        new = [prompt for prompt, _ in taken if prompt not in self.first]
        if new:
            groups, logits = self.engine.prefill([self.prompts[p] for p in new])
            self.first |= dict(zip(new, zip(groups, logits, strict=True), strict=True))
        added, spawned, seeds = [], [], []
        for prompt, count in taken:
            group, logits = self.first[prompt]
            known = len(self.samples[prompt])
            fresh = [_Row(prompt, group, Sample([], [], False)) for _ in range(count)]
            self.samples[prompt] += [row.sample for row in fresh]
            self.living[group] = self.living.get(group, 0) + count
            spawned += fresh
            added.append(logits.expand(count, -1))
            seeds += self.seeds[prompt][known : known + count] if self.seeds else []
            if known + count == self.num_samples:
                self.waiting.popleft()
                del self.first[prompt]
        self.engine.spawn([row.group for row in spawned])
        self.logits = torch.cat(added if self.logits is None else [self.logits, *added])
        self._equip(spawned, seeds)

    def _equip(self, spawned: list[_Row], seeds: list[int]) -> None:
        """Gives new rows their uniform numbers and marks their prompts' tokens."""
        assert self.logits is not None
        device, here = self.logits.device, slice(len(self.rows), len(self.rows) + len(spawned))
        if seeds:
            if not self.uniforms.numel():
                self.uniforms = torch.empty(
                    self.max_rows, self.sampling.max_new_tokens, dtype=torch.float64, device=device
                )
            self.uniforms[here] = noise(seeds, self.sampling.max_new_tokens).to(device)
        if self.sampling.repetition_penalty != 1:
            if self.seen is None:
                self.seen = torch.zeros(self.max_rows, self.logits.shape[1], dtype=torch.bool, device=device)
            self.seen[here] = False
            for number, row in enumerate(spawned, here.start):
                self.seen[number, self.prompts[row.prompt]] = True
        self.rows += spawned

    def _draw(self) -> Tensor:
        """The next token of every row [rows], recorded in its sample."""
        assert self.logits is not None
        num_rows = len(self.rows)
        if self.seeds:
            ages = torch.tensor([len(row.sample.tokens) for row in self.rows], device=self.logits.device)
            uniforms = self.uniforms[:num_rows].gather(1, ages[:, None]).squeeze(1)
        else:
            uniforms = self.uniforms
        seen = None if self.seen is None else self.seen[:num_rows]
        tokens, logprobs = next_tokens(self.logits, uniforms, self.sampling, seen)
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        found = logprobs.tolist()
        self._demand_finite(found)
        for row, token, logprob in zip(self.rows, tokens.tolist(), found, strict=True):
            row.sample.tokens.append(token)
            row.sample.logprobs.append(logprob)
        return tokens

    def _demand_finite(self, logprobs: list[float]) -> None:
        if not math.isfinite(sum(logprobs)):
            row = next(row for row, logprob in zip(self.rows, logprobs, strict=True) if not math.isfinite(logprob))
            raise TrainingError(
                f"the model's logits are not finite (response token {len(row.sample.tokens)})",
                where=f"prompt {row.prompt}",
                remedy="The weights have diverged or overflow: lower the learning rate, or use float32 or bfloat16.",
            )

    def _leave(self, tokens: Tensor) -> Tensor:
        """Drops rows that ended; the tokens of those that go on."""
        ended = [number for number, row in enumerate(self.rows) if self._ends(row.sample)]
        if not ended:
            return tokens
        moves = fill_holes(ended, len(self.rows))
        for number in ended:
            group = self.rows[number].group
            self.living[group] -= 1
        open_groups = {group for group, _ in self.first.values()}
        for group in {self.rows[number].group for number in ended}:
            if self.living[group] == 0 and group not in open_groups:
                del self.living[group]
                self.engine.close(group)
        self.engine.move(moves)
        for source, target in zip(moves.source, moves.target, strict=True):
            self.rows[target] = self.rows[source]
        del self.rows[moves.left :]
        for travelling in (self.uniforms, self.seen):
            if travelling is not None and travelling.numel():
                _move(travelling, moves)
        return _move(tokens, moves)[: moves.left]

    def _ends(self, sample: Sample) -> bool:
        if sample.tokens[-1] in self.stop_ids:
            sample.finished = True
        elif self.sampling.stop:
            assert self.decode is not None
            sample.finished = ends_with_stop(sample.tokens, self.sampling.stop, self.decode)
        return sample.finished or len(sample.tokens) == self.sampling.max_new_tokens


def _move(x: Tensor, moves: Moves) -> Tensor:
    if moves.source:
        x[moves.target] = x[moves.source]
    return x


def _core(model: Any) -> Any:
    """The causal LM inside wrappers. LoRA layers stay, they are inside it."""
    while True:
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = model.module
        elif hasattr(model, "get_base_model") and hasattr(model, "peft_config"):
            if model.active_peft_config.is_prompt_learning:
                raise ModelError(
                    f"a {model.active_peft_config.peft_type} adapter works outside the layers",
                    where="rollouts",
                    remedy="Use LoRA, or full fine-tuning.",
                )
            model = model.get_base_model()
        else:
            return model


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """No dropout inside; each module's own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True

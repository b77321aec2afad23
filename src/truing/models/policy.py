"""The model in training and its reference: packed trees in, streams out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from truing.models.adapters import Reference
from truing.models.deltas import adapter_l1
from truing.models.forward import Runner
from truing.models.head import Head, head_of
from truing.models.heads import ValueHead, score_head
from truing.models.reference_cache import ReferenceCache
from truing.models.values import ValueModel
from truing.tree import Packed, Tree, budgeted, pack

__all__ = ["Policy", "Reading"]

Reading = Literal["last", "mean", "sum", "steps", "pair", "aspects"]
"""How a response's score is read off the reward head: at its last token, as the mean or sum over its tokens, step by
step, at the end of two responses read together, or a score for each aspect at its last token."""


class Policy:
    """Makes the streams whose maker is `policy` or `reference`, and only those that somebody reads.

    `temperature` is the one that responses are sampled with: all log-probabilities are of logits divided by it. With
    `cache` the reference is asked for its log-probabilities only where they are not known.
    """

    def __init__(
        self,
        model: Any,
        *,
        reference: Reference | None = None,
        value: ValueHead | ValueModel | None = None,
        temperature: float = 1.0,
        checkpointing: bool = False,
        cache: ReferenceCache | None = None,
    ) -> None:
        self.model, self.reference, self.value, self.temperature = model, reference, value, temperature
        self.cache = cache
        self._runner = Runner(model, checkpointing=checkpointing)
        self._reference_runner: Runner | None = None
        self._heads: dict[int, Head] = {}  # by id of the model: looking one up costs a forward pass

    @property
    def trained(self) -> nn.Module:
        """Everything that has weights to train: the model, with the value head or model where there is one."""
        return self.model if self.value is None else nn.ModuleDict({"model": self.model, "value": self.value})

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device

    def streams(
        self, packed: Packed, reads: Collection[str], data: Mapping[str, Tensor], *, autocast: bool = False
    ) -> dict[str, Tensor]:
        """`data` and what the models have to say of one micro-batch, for the streams in `reads`."""
        streams = dict(data)
        if "adapter_l1" in reads:
            streams["adapter_l1"] = adapter_l1(self.model)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=autocast):
            ref_hidden = None
            wants_logprobs = "ref_logprobs" in reads and "ref_logprobs" not in streams
            if wants_logprobs and "ref_kl" not in reads and self.cache is not None:
                ask = self._reference_logprobs
                streams["ref_logprobs"] = self.cache.logprobs(packed, ask, autocast=autocast)
            elif wants_logprobs or "ref_kl" in reads:
                ref_hidden = self._ask_reference(packed, reads, streams)
            if "rewards" in reads:
                streams["rewards"] = self.rewards(packed)
            if "aspect_rewards" in reads:
                streams["aspect_rewards"] = self.aspect_rewards(packed)
            if "pair_scores" in reads:
                streams["pair_scores"] = self.rewards(packed)
            if "token_rewards" in reads:
                streams["token_rewards"] = packed.scatter(self.token_rewards(packed)[_trained(packed)])
            if "values" in reads and isinstance(self.value, ValueModel):
                streams["values"] = packed.scatter(self.value(packed))
            on_policy = "values" in reads and isinstance(self.value, ValueHead)
            if on_policy or not {"logprobs", "entropies", "ref_kl", "collision_logprobs"}.isdisjoint(reads):
                hidden = self._runner(packed)[packed.predictors]
                head = self._head(self.model)
                if on_policy:
                    assert self.value is not None
                    streams["values"] = packed.scatter(self.value(hidden))
                if "ref_kl" in reads:
                    assert ref_hidden is not None
                    assert self.reference is not None
                    other, active = self._head(self.reference.model), self.reference.active
                    kl = head.kl_from(other, hidden, ref_hidden, temperature=self.temperature, active=active)
                    streams["ref_kl"] = packed.scatter(kl)
                if "collision_logprobs" in reads:
                    collisions = head.collision_logprobs(hidden, temperature=self.temperature)
                    streams["collision_logprobs"] = packed.scatter(collisions)
                if "entropies" in reads:
                    flat, entropies = head.logprobs(hidden, packed.targets, temperature=self.temperature, entropy=True)
                    streams["entropies"] = packed.scatter(entropies)
                    streams["logprobs"] = packed.scatter(flat)
                elif "logprobs" in reads:
                    flat = head.logprobs(hidden, packed.targets, temperature=self.temperature)
                    streams["logprobs"] = packed.scatter(flat)
        return streams

    def assess(
        self, trees: Sequence[Tree], reads: Collection[str], tokens_per_batch: int, *, autocast: bool = False
    ) -> dict[str, list[list[list[float]]]]:
        """Streams of shape [rows, tokens] for many trees, without gradients: by name, tree, branch and token."""
        out: dict[str, list[list[list[float]]]] = {name: [[] for _ in trees] for name in reads}
        with torch.no_grad():
            for indices in budgeted(trees, tokens_per_batch):
                packed = pack([trees[i] for i in indices]).to(self.device)
                streams = self.streams(packed, reads, {}, autocast=autocast)
                for name in reads:
                    rows = iter(streams[name].tolist())
                    for i in indices:
                        out[name][i] = [next(rows)[: len(branch.tokens)] for branch in trees[i].branches]
        return out

    def rewards(self, packed: Packed) -> Tensor:
        """[rows]: what the reward head says at the last token of each response."""
        scores: Tensor = score_head(self.model)(self._runner(packed)[packed.ends])
        return scores.squeeze(-1).float()

    def aspect_rewards(self, packed: Packed) -> Tensor:
        """[rows, aspects]: what the heads say at the last token of each response."""
        scores: Tensor = score_head(self.model)(self._runner(packed)[packed.ends])
        return scores.float()

    def token_rewards(self, packed: Packed) -> Tensor:
        """[T]: what the reward head says at every token of the packed row, prompts included."""
        scores: Tensor = score_head(self.model)(self._runner(packed))
        return scores.squeeze(-1).float()

    def score(
        self, trees: Sequence[Tree], tokens_per_batch: int, reading: Literal["last", "mean", "sum"] = "last"
    ) -> list[list[float]]:
        """The reward head on many trees, without gradients: a list per tree, a number per branch.

        It is read at the last token, or as the mean or sum over the tokens of the branch under its mask (0 for none).
        """
        if reading != "last":
            return [
                [_pooled(values, branch.mask, reading) for values, branch in zip(row, tree.branches, strict=True)]
                for row, tree in zip(self.score_tokens(trees, tokens_per_batch), trees, strict=True)
            ]
        out: list[list[float]] = [[] for _ in trees]
        with torch.no_grad():
            for indices in budgeted(trees, tokens_per_batch):
                values = iter(self.rewards(pack([trees[i] for i in indices]).to(self.device)).tolist())
                for i in indices:
                    out[i] = [next(values) for _ in trees[i].branches]
        return out

    def score_aspects(self, trees: Sequence[Tree], tokens_per_batch: int) -> list[list[list[float]]]:
        """The heads of all aspects on many trees, without gradients: by tree, branch, aspect."""
        out: list[list[list[float]]] = [[] for _ in trees]
        with torch.no_grad():
            for indices in budgeted(trees, tokens_per_batch):
                values = iter(self.aspect_rewards(pack([trees[i] for i in indices]).to(self.device)).tolist())
                for i in indices:
                    out[i] = [next(values) for _ in trees[i].branches]
        return out

    def score_tokens(self, trees: Sequence[Tree], tokens_per_batch: int) -> list[list[list[float]]]:
        """The reward head at every token of every branch, without gradients: by tree, branch, token."""
        out: list[list[list[float]]] = [[] for _ in trees]
        with torch.no_grad():
            for indices in budgeted(trees, tokens_per_batch):
                packed = pack([trees[i] for i in indices]).to(self.device)
                values = self.token_rewards(packed).tolist()
                for i, span in zip(indices, packed.layout, strict=True):
                    out[i] = [values[first:end] for first, end in span.branches]
        return out

    def _head(self, model: Any) -> Head:
        if id(model) not in self._heads:
            self._heads[id(model)] = head_of(model)
        return self._heads[id(model)]

    def _reference_logprobs(self, packed: Packed) -> Tensor:
        """[rows, tokens]: what the reference says of the trained tokens."""
        streams: dict[str, Tensor] = {}
        self._ask_reference(packed, {"ref_logprobs"}, streams)
        return streams["ref_logprobs"]

    def _ask_reference(self, packed: Packed, reads: Collection[str], streams: dict[str, Tensor]) -> Tensor:
        """The reference's hidden states, [N, H]; `ref_logprobs` is put into `streams` where it is read and missing."""
        assert self.reference is not None, "an objective reads the reference: the run is wired with one"
        with torch.no_grad(), self.reference.active() as model:
            if model is self.model:
                runner = self._runner
            else:
                self._reference_runner = self._reference_runner or Runner(model)
                runner = self._reference_runner
            hidden = runner(packed)[packed.predictors]
            if "ref_logprobs" in reads and "ref_logprobs" not in streams:
                logprobs = self._head(model).logprobs(hidden, packed.targets, temperature=self.temperature)
                streams["ref_logprobs"] = packed.scatter(logprobs)
            return hidden


def _pooled(values: Sequence[float], mask: Sequence[bool], reading: Literal["mean", "sum"]) -> float:
    kept = [value for value, trained in zip(values, mask, strict=True) if trained]
    return math.fsum(kept) / (max(1, len(kept)) if reading == "mean" else 1)


def _trained(packed: Packed) -> Tensor:
    """[N]: where in the packed row each trained token stands (`predictors` are where it is predicted)."""
    starts = [first for span in packed.layout for first, _ in span.branches]
    rows, columns = packed.index
    return torch.tensor(starts, dtype=torch.long, device=rows.device)[rows] + columns

"""Samples of somebody else than the policy: the reference, or a distribution between the two.

Two models step together. At every token their logits are added with the weights 1 − mixture and mixture, and what is
drawn from is softmax of the sum: π^(1 − mixture) · π_ref^mixture, made a distribution token by token (Nash-MD,
arXiv:2312.00886: the geometric mixture of whole responses has no sampler; this is the one that it uses for text).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from truing.errors import ModelError
from truing.models.adapters import Reference
from truing.rollouts.engine import Engine, Moves
from truing.rollouts.local import LocalRollouts
from truing.rollouts.sampling import Sample, Sampling

__all__ = ["MixtureEngine", "RivalRollouts"]


class RivalRollouts(LocalRollouts):
    """`LocalRollouts` of the mixture of a policy and its reference, `mixture` being the weight of the reference.

    At 1 only the reference runs and at 0 only the policy, so that these are exactly their samples. Both models' weights
    are the live ones, whether the reference is a model of its own or the policy with its adapters off. `logprobs` of
    the samples are under the mixture.
    """

    def __init__(self, policy: Any, reference: Reference, mixture: float, **options: Any) -> None:
        super().__init__(policy, **options)
        self.reference, self.mixture = reference, mixture
        self._other = LocalRollouts(reference.model, **options)

    def generate(self, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> list[list[Sample]]:
        """As `LocalRollouts.generate`; the samples are marked as a rival's."""
        if self.mixture == 1:
            with self.reference.active():
                samples = self._other.generate(prompts, num_samples, sampling)
        else:
            samples = super().generate(prompts, num_samples, sampling)
        for row in samples:
            for sample in row:
                sample.rival = True
        return samples

    def _start(
        self, core: Any, prompt: list[int], longest: int, max_new_tokens: int, wanted: int
    ) -> tuple[Engine, int]:
        own, rows = super()._start(core, prompt, longest, max_new_tokens, wanted)
        if self.mixture == 0:
            return own, rows
        with self.reference.active() as model:
            other, others = self._other._start(self._other.core(model), prompt, longest, max_new_tokens, wanted)
        self.engine = f"{self.engine}, reference {self._other.engine}"
        return MixtureEngine(own, other, self.mixture, self.reference.active), min(rows, others)


class MixtureEngine:
    """Two engines in step; the logits are (1 − mixture) · own + mixture · other.

    `active` is held open while the other one runs. Errors: ModelError for two vocabularies.
    """

    def __init__(
        self, own: Engine, other: Engine, mixture: float, active: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        self.own, self.other, self.mixture, self.active = own, other, mixture, active
        self._numbers: dict[int, int] = {}  # of a group: ours -> theirs

    def prefill(self, prompts: Sequence[list[int]]) -> tuple[list[int], Tensor]:
        groups, logits = self.own.prefill(prompts)
        with self.active():
            theirs, others = self.other.prefill(prompts)
        self._numbers |= dict(zip(groups, theirs, strict=True))
        return groups, self._mixed(logits, others)

    def spawn(self, groups: Sequence[int]) -> None:
        self.own.spawn(groups)
        self.other.spawn([self._numbers[group] for group in groups])

    def step(self, tokens: Tensor) -> Tensor:
        logits = self.own.step(tokens)
        with self.active():
            return self._mixed(logits, self.other.step(tokens))

    def move(self, moves: Moves) -> None:
        self.own.move(moves)
        self.other.move(moves)

    def close(self, group: int) -> None:
        self.own.close(group)
        self.other.close(self._numbers.pop(group))

    def _mixed(self, own: Tensor, other: Tensor) -> Tensor:
        if own.shape != other.shape:
            raise ModelError(
                f"the policy has {own.shape[-1]} tokens and the reference {other.shape[-1]}",
                where="rollouts.rivals",
                remedy="A mixture needs a reference with the policy's own vocabulary (model.reference).",
            )
        # Each model's log-probabilities are its logits less a number for each row, which softmax takes out again.
        return (1 - self.mixture) * own.float() + self.mixture * other.float()

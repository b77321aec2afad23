"""The reference of a run: what it is known to have said, and whether it has to be in memory.

Nothing of what is kept is looked up by a name or a date: `Remembered` hashes the weights at the start of every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from truing.caches import cache_folder
from truing.errors import ModelError
from truing.recipe import Recipe

if TYPE_CHECKING:
    from truing.models.adapters import Reference
    from truing.tree import Tree

__all__ = ["Remembered", "is_cached", "reference_for"]


def is_cached(recipe: Recipe, reads: Collection[str]) -> bool:
    """Whether a run keeps what its reference says: of responses from files, and log-probabilities alone.

    What was sampled is never seen again, and `ref_kl` needs a number for every word of the vocabulary.
    """
    return (
        not recipe.online
        and recipe.model.reference_cache_gb > 0
        and "ref_logprobs" in reads
        and "ref_kl" not in reads
    )  # fmt: skip


class Remembered:
    """What the reference of a run has said before, in this run or in others.

    `model` is the policy as it was loaded: without adapters or heads, on the CPU. `asked` are the trees that the run
    is known to go through, each with whether that is under autocast.
    """

    def __init__(self, recipe: Recipe, model: Any, asked: Iterable[tuple[Tree, bool]]) -> None:
        from truing.models.reference_cache import ReferenceCache
        from truing.models.store import Store

        self._recipe = recipe
        self._identity = self._identify(model)
        self.root = cache_folder() / "reference"
        store = Store(self.root, self._name(), limit=int(recipe.model.reference_cache_gb * 1e9))
        self.cache = ReferenceCache(store, asked)

    @property
    def is_complete(self) -> bool:
        """Whether everything is known that the run is known to ask for."""
        return not self.cache.num_missing

    def load(self) -> Any:
        """The reference as a model of its own. `ModelError` if its folder is no longer what it was."""
        from truing.models.loading import load_causal_lm

        settings = self._recipe.model
        source = settings.reference or settings.path
        assert source is not None
        model: Any = load_causal_lm(source, dtype=settings.dtype)
        if self._identify(model) != self._identity:
            raise ModelError(
                "the weights in this folder are not those that the run began with",
                where=source,
                remedy="They are the reference, which must not change during a run: start again, or put them back.",
            )
        return model

    def note(self, *, shared: bool) -> str:
        """What is known, and where it lies; `shared`: the reference is the model in training."""
        known = self.cache.num_wanted - self.cache.num_missing
        left = "" if shared or known < self.cache.num_wanted else ", so the reference model is not loaded"
        return (
            f"reference log-probabilities: {known} of {self.cache.num_wanted} responses are known from before{left}; "
            f"they are kept in {self.root}, at most {self._recipe.model.reference_cache_gb:g} GB "
            "(model.reference_cache_gb)"
        )

    def summary(self) -> str:
        """What became of it."""
        cache = self.cache
        return f"reference log-probabilities: {cache.num_cached} responses from the cache, {cache.num_asked} computed"

    def _identify(self, model: Any) -> str:
        """Of the reference's weights: those in memory, or of a reference in another folder its files, unread else."""
        from truing.models import fingerprint

        if self._recipe.model.reference:
            return "files " + fingerprint.of_folder(self._recipe.model.reference)
        return "model " + fingerprint.of_model(model)

    def _name(self) -> str:
        """One name for everything that the numbers depend on besides the tokens."""
        import torch

        from truing.models import fingerprint
        from truing.models.loading import best_device

        parts = (
            self._identity,
            self._recipe.model.dtype,
            best_device().type,
            torch.get_float32_matmul_precision(),
            fingerprint.of_code(),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def reference_for(recipe: Recipe, model: Any, remembered: Remembered | None) -> Reference:
    """The reference of `model`, the policy with its adapters, as it is before training; loaded only if it has to be."""
    from truing.models import adapters
    from truing.models.loading import load_causal_lm

    settings = recipe.model
    shared = settings.lora is not None and settings.reference is None
    if remembered is not None and remembered.is_complete and not shared:
        return adapters.reference_when_asked(remembered.load, next(model.parameters()).device)
    if settings.reference is None:
        return adapters.reference(model)
    if remembered is not None:
        return adapters.reference(model, remembered.load())
    return adapters.reference(model, load_causal_lm(settings.reference, dtype=settings.dtype))

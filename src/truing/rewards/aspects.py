"""The heads of a reward model that scores several aspects: what is known of each, and how much each counts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.errors import ModelError, RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Aspect", "aspects_of", "weights_of"]


@dataclass(frozen=True, slots=True)
class Aspect:
    """Of one head: mean and spread of what it says, and of the points that it learnt, in whose standard deviations it
    speaks."""

    mean: float = 0.0
    std: float = 1.0
    score_mean: float = 0.0
    score_std: float = 1.0


def aspects_of(model: PreTrainedModel, metadata: Mapping[str, Any], place: Path) -> dict[str, Aspect]:
    """The heads of a reward model in order, with what its metadata says of each; empty where it has a single one that
    is no aspect. `ModelError` where metadata and model do not fit."""
    said = metadata.get("reward")
    about: Any = said.get("aspects") if isinstance(said, dict) else None
    config: Any = model.config
    names = [str(config.id2label[i]) for i in range(config.num_labels)]
    if about is None:
        return dict.fromkeys(names, Aspect()) if len(names) > 1 else {}
    try:
        found = {name: Aspect(**{key: float(v) for key, v in row.items()}) for name, row in about.items()}
    except (AttributeError, TypeError, ValueError, OverflowError):
        found = {}
    numbers = [v for aspect in found.values() for v in asdict(aspect).values()]
    fine = all(map(math.isfinite, numbers)) and all(a.std > 0 and a.score_std > 0 for a in found.values())
    if sorted(found) != sorted(names) or not fine:
        raise ModelError(
            f"`reward.aspects` does not describe its heads, which are {', '.join(names):.200}",
            where=str(place),
            remedy="An object for each, by name: mean, std, score_mean and score_std, finite, the stds above 0.",
        )
    return {name: found[name] for name in names}


def weights_of(aspects: Collection[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """The weight of every aspect: as said, 0 where others were named, all 1 where nothing was said."""
    if weights is None:
        return dict.fromkeys(aspects, 1.0)
    where, known = "reward `model`, setting `weights`", ", ".join(aspects)
    for name, weight in weights.items():
        if name not in aspects:
            raise RecipeError(f"this reward model has no aspect `{name}`", where=where, remedy=f"It has {known}.")
        if not math.isfinite(weight):
            raise RecipeError(f"the weight of `{name}` is {weight}", where=where, remedy="Weights are finite numbers.")
    if not any(weights.values()):
        raise RecipeError("no aspect has a weight", where=where, remedy=f"Give one a weight other than 0: {known}.")
    return {name: float(weights.get(name, 0.0)) for name in aspects}

"""What a recipe cannot mean, said before anything large is loaded."""

from __future__ import annotations

from truing import registry
from truing.bind import Bound, bind
from truing.errors import RecipeError
from truing.models.policy import Reading
from truing.monitor import active
from truing.recipe import Recipe
from truing.update import Loss

__all__ = ["check", "judges", "reading_of"]


def check(recipe: Recipe) -> tuple[Loss, list[Bound], Bound | None]:
    """Look up every name and check every setting, before anything large is loaded."""
    terms = [bind(registry.objective, named) for named in recipe.objectives]
    rewards = [bind(registry.reward, named) for named in recipe.rewards]
    judges(recipe)
    active(recipe.monitor)
    advantage = bind(registry.advantage, recipe.advantage) if recipe.advantage else None
    longest = recipe.rollouts.max_new_tokens if recipe.rollouts else (recipe.data.max_response_tokens or 1)
    loss = Loss(terms, recipe.reduction, longest)
    where = f"recipe `{recipe.name}`"
    if recipe.online and not rewards:
        raise RecipeError(
            "it samples responses, and nothing says which are good",
            where=where,
            remedy="Name a reward: --reward runs/reward (a reward model), --reward NAME, or `rewards:` in the recipe.",
        )
    offline_only = loss.reads & {"step_labels", "aspect_scores"}
    if recipe.online and offline_only:
        raise RecipeError(f"an objective reads `{min(offline_only)}`, which samples do not have", where=where)
    sampled = loss.reads & _SAMPLED
    if not recipe.online and sampled:
        raise RecipeError(
            f"an objective reads `{min(sampled)}`, which only sampled responses have",
            where=where,
            remedy="Add a `rollouts:` section, or choose an offline objective.",
        )
    if recipe.online:
        _check_online(recipe, loss, advantage, where)
        _check_rivals(recipe, loss, advantage, where)
        if recipe.reward_updates and not [bind(registry.reward, named) for named in recipe.reward_updates.ask]:
            raise RecipeError(
                "reward_updates asks nobody which of two samples is better",
                where=where,
                remedy="Name a reward function in reward_updates.ask (--set reward_updates.ask=[NAME]).",
            )
    heads_read = loss.reads & {"rewards", "token_rewards", "pair_scores", "aspect_rewards"}
    if heads_read and loss.reads & {"logprobs", "ref_logprobs", "entropies", "ref_kl", "collision_logprobs"}:
        raise RecipeError(
            f"a reward model has no next-token distribution: `{min(heads_read)}` and `logprobs` exclude each other"
        )
    if heads_read and recipe.online:
        raise RecipeError("a reward model is trained on feedback from files, not on samples", where=where)
    if len(readings := {reading_of(term) for term in terms} - {None}) > 1:
        raise RecipeError(
            f"its objectives read one reward head as different scores ({', '.join(sorted(map(str, readings)))})",
            where=where,
            remedy="Train one reward model for each.",
        )
    if "adapter_l1" in loss.reads and not recipe.model.lora:
        reader = next(term.name for term in terms if "adapter_l1" in term.reads)
        raise RecipeError(
            f"objective `{reader}` reads `adapter_l1`, what adapters add to the weights, and there are no adapters",
            where=where,
            remedy="Add `model: {lora: {r: 16}}` to the recipe (or --set lora.r=16), or leave the objective out.",
        )
    if recipe.model.lora and recipe.model.lora.dropout:
        raise RecipeError("model.lora.dropout must be 0: sampling and training have to see the same model", where=where)
    for key, value in (("model.path", recipe.model.path), ("data.train", recipe.data.train)):
        if not value:
            option = "--model" if key == "model.path" else "--data"
            raise RecipeError(f"`{key}` is not given", where=where, remedy=f"Give {option}, or set it in the recipe.")
    return loss, rewards, advantage


def judges(recipe: Recipe) -> list[Bound]:
    """The rewards that are only observed."""
    return [bind(registry.reward, named) for named in recipe.monitor.judge]


_SAMPLED = {"advantages", "old_logprobs", "sampled_logprobs", "returns", "old_values", "values", "rivals"}
"""What only sampled responses have."""

_OF_SAMPLES = {
    *("rewards", "dense_rewards", "baselines", "groups", "mask", "finished", "rivals"),
    *("old_logprobs", "sampled_logprobs", "ref_logprobs", "old_values"),
}
"""What is known of samples when advantages are made."""


def _check_online(recipe: Recipe, loss: Loss, advantage: Bound | None, where: str) -> None:
    """`RecipeError` for advantages and objectives that do not fit."""
    reads = set(advantage.reads) if advantage else set()
    if odd := sorted(reads - _OF_SAMPLES):
        raise RecipeError(
            f"advantage reads `{odd[0]}`, which nobody has made by then",
            where=where,
            remedy=f"An advantage may read {', '.join(sorted(_OF_SAMPLES))}.",
        )
    if "ref_logprobs" in reads and recipe.reward_kl is None and "ref_logprobs" not in loss.reads:
        raise RecipeError(
            "advantage reads `ref_logprobs`, and nothing asks the reference",
            where=where,
            remedy="Set reward_kl.coefficient (0 is a number too).",
        )
    if "old_values" in reads | loss.reads and "values" not in loss.reads:
        raise RecipeError(
            "`old_values` are read, and no objective trains a value head",
            where=where,
            remedy="Add the objective `value`, or take an advantage without values.",
        )
    if "returns" in loss.reads and (advantage is None or advantage.name not in _CRITIC):
        raise RecipeError(
            "an objective reads `returns`, and the advantage makes none", where=where, remedy="Use advantage: gae."
        )


def _check_rivals(recipe: Recipe, loss: Loss, advantage: Bound | None, where: str) -> None:
    """`RecipeError` for rivals whom nobody asked for, or who are asked for what they do not give."""
    assert recipe.rollouts is not None
    rivals = recipe.rollouts.rivals
    if "rivals" in loss.reads and (rivals is None or not rivals.trained):
        raise RecipeError(
            "an objective reads `rivals`, and there is none to train on",
            where=where,
            remedy="Set rollouts.rivals: {samples: 1, mixture: 1.0, trained: true}.",
        )
    if rivals is not None and rivals.compare != "none" and advantage is not None and "baselines" in advantage.reads:
        raise RecipeError(
            f"advantage `{advantage.name}` takes off the reward of the likeliest response, and rivals.compare = "
            f"{rivals.compare} has made another number of the rewards",
            where=where,
            remedy="Use compare: none, or the advantage constant_baseline.",
        )


_CRITIC = ("gae",)
"""Advantages that make `returns`."""


def reading_of(term: Bound) -> Reading | None:
    """What an objective makes of the reward head."""
    if "rewards" in term.reads:
        return "last"
    if "pair_scores" in term.reads:
        return "pair"
    if "aspect_rewards" in term.reads:
        return "aspects"
    if "token_rewards" not in term.reads:
        return None
    if "step_labels" in term.reads:
        return "steps"
    return "mean" if term.settings.get("pool", "mean") == "mean" else "sum"

"""From a recipe to a run that is ready to go: every choice that is left open until model and data are known."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from truing import feedback, registry
from truing.bind import Bound, bind
from truing.chat import Chat, Truncation
from truing.errors import DataError, RecipeError
from truing.experience import Experience, Offline, Online, trees
from truing.feedback.files import refuse
from truing.group import Group
from truing.models import adapters, heads
from truing.models.loading import best_device, load_causal_lm, load_tokenizer
from truing.models.policy import Policy, Reading
from truing.recipe import Recipe
from truing.tree import Tree
from truing.update import Loss, Updater

__all__ = ["Run", "check", "wire"]


@dataclass
class Run:
    """Everything a run is made of. `heldout` are trees (offline) or prompts (online) that are not trained on."""

    recipe: Recipe
    policy: Policy
    chat: Chat
    experience: Experience
    updater: Updater
    heldout: Sequence[Tree] | Online | None
    reading: Reading | None
    """How a response's score is read off the reward head; None: the run trains no reward model."""
    notes: list[str] = field(default_factory=list)
    """What the reader of the log should know: rows left out, texts cut, templates chosen."""

    @property
    def is_reward_model(self) -> bool:
        return self.reading is not None


Located = tuple[str, Group]


def check(recipe: Recipe) -> tuple[Loss, list[Bound], Bound | None]:
    """Look up every name and check every setting, before anything large is loaded."""
    terms = [bind(registry.objective, named) for named in recipe.objectives]
    rewards = [bind(registry.reward, named) for named in recipe.rewards]
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
    offline_only = loss.reads & {"chosen", "rejected", "ranks", "labels", "scores"}
    if recipe.online and offline_only:
        raise RecipeError(f"an objective reads `{min(offline_only)}`, which rollouts do not have yet", where=where)
    sampled = loss.reads & {"advantages", "old_logprobs", "returns"}
    if not recipe.online and sampled:
        raise RecipeError(
            f"an objective reads `{min(sampled)}`, which only sampled responses have",
            where=where,
            remedy="Add a `rollouts:` section, or choose an offline objective.",
        )
    if "values" in loss.reads:
        raise RecipeError("an objective reads `values`, and no model makes them yet", where=where)
    heads_read = loss.reads & {"rewards", "token_rewards"}
    if heads_read and loss.reads & {"logprobs", "ref_logprobs", "entropies"}:
        raise RecipeError(
            f"a reward model has no next-token distribution: `{min(heads_read)}` and `logprobs` exclude each other"
        )
    if heads_read and recipe.online:
        raise RecipeError("a reward model is trained on feedback from files, not on samples", where=where)
    if len(readings := {_reading(term) for term in terms} - {None}) > 1:
        raise RecipeError(
            f"its objectives read one reward head as different scores ({', '.join(sorted(map(str, readings)))})",
            where=where,
            remedy="Train one reward model for each.",
        )
    if recipe.model.lora and recipe.model.lora.dropout:
        raise RecipeError("model.lora.dropout must be 0: sampling and training have to see the same model", where=where)
    for key, value in (("model.path", recipe.model.path), ("data.train", recipe.data.train)):
        if not value:
            option = "--model" if key == "model.path" else "--data"
            raise RecipeError(f"`{key}` is not given", where=where, remedy=f"Give {option}, or set it in the recipe.")
    return loss, rewards, advantage


def wire(recipe: Recipe) -> Run:
    """Load model and data and put the parts together."""
    loss, rewards, advantage = check(recipe)
    assert recipe.model.path is not None
    assert recipe.data.train is not None
    notes: list[str] = []
    torch.manual_seed(recipe.seed)
    tokenizer = load_tokenizer(recipe.model.path)
    chat = _chat(recipe, tokenizer)
    groups, held = _read(recipe, notes)
    reading = next((found for term in loss.terms if (found := _reading(term))), None)
    experience: Experience
    heldout: Sequence[Tree] | Online | None
    if not recipe.online:
        # Data first: a wrong file should be heard of before a large model is loaded.
        counts: Counter[str] = Counter()
        experience = _offline(recipe, trees(groups, chat, loss.reads, counts))
        heldout = trees(held, chat, loss.reads, counts)
        notes += [f"{number} {what}" for what, number in counts.items()]
    policy = _policy(recipe, reading is not None, "ref_logprobs" in loss.reads)
    if recipe.online:
        from truing.rollouts.local import LocalRollouts

        rollouts = LocalRollouts(policy.model, stop_ids=chat.stop_ids, pad_id=chat.pad_id, decode=chat.decode)
        assert recipe.rollouts is not None
        assert recipe.update.steps is not None
        functions = [(bound.name, bound.weight, bound.function) for bound in rewards]
        experience = Online(
            [g for _, g in groups],
            chat,
            rollouts,
            functions,
            advantage,
            recipe.rollouts,
            recipe.seed,
            recipe.update.steps,
            recipe.combination,
        )
        heldout = replace(experience, prompts=[g for _, g in held], seed=recipe.seed + 1, num_steps=1) if held else None
    updater = Updater(policy, loss, recipe.update, experience.steps, recipe.seed)
    notes += chat.notes()
    return Run(recipe, policy, chat, experience, updater, heldout, reading, notes)


def _reading(term: Bound) -> Reading | None:
    """What an objective makes of the reward head."""
    if "rewards" in term.reads:
        return "last"
    if "token_rewards" not in term.reads:
        return None
    if "step_labels" in term.reads:
        return "steps"
    return "mean" if term.settings.get("pool", "mean") == "mean" else "sum"


def _chat(recipe: Recipe, tokenizer: Any) -> Chat:
    data = recipe.data
    return Chat(
        tokenizer,
        data.template,
        max_prompt_tokens=data.max_prompt_tokens,
        max_response_tokens=data.max_response_tokens,
        truncation=Truncation(data.truncation),
    )


def _read(recipe: Recipe, notes: list[str]) -> tuple[list[Located], list[Located]]:
    """Training and held-out groups, each with its place."""
    data = recipe.data

    def groups(source: str) -> list[Located]:
        skipped: list[DataError] = []
        on_bad = skipped.append if data.skip_bad else refuse
        found = list(feedback.located(source, format=data.format, on_bad=on_bad))
        if skipped:
            first = f"{skipped[0].where}: {skipped[0].found}"
            notes.append(f"{len(skipped)} rows of {source} skipped as unreadable; the first: {first}")
        if not found:
            raise DataError("no usable row", where=source, remedy="`truing feedback check FILE` says what is in it.")
        return found

    assert data.train is not None
    train = groups(data.train)
    if data.validation:
        return train, groups(data.validation)
    number = min(int(len(train) * data.validation_share), 1000)
    held = set(random.Random(f"validation/{recipe.seed}").sample(range(len(train)), number))
    return [g for i, g in enumerate(train) if i not in held], [train[i] for i in sorted(held)]


def _offline(recipe: Recipe, made: list[Tree]) -> Offline:
    if not made:
        raise DataError(
            "no group is left to train on",
            where=recipe.data.train,
            remedy="All were too long, tied or empty: `truing feedback stats FILE` shows which.",
        )
    return Offline(made, recipe.update.batch_size, recipe.update.epochs, recipe.seed, recipe.update.steps)


def _policy(recipe: Recipe, is_reward_model: bool, needs_reference: bool) -> Policy:
    settings = recipe.model
    assert settings.path is not None
    model: Any = load_causal_lm(settings.path, dtype=settings.dtype)
    if is_reward_model:
        model = heads.reward_model_from(model)
    if settings.lora:
        model = adapters.with_lora(
            model, r=settings.lora.r, alpha=settings.lora.alpha, target_modules=settings.lora.target_modules
        )
    model.to(best_device())
    reference = None
    if needs_reference:
        other = load_causal_lm(settings.reference, dtype=settings.dtype) if settings.reference else None
        reference = adapters.reference(model, other)
    temperature = recipe.rollouts.temperature if recipe.rollouts else 1.0
    return Policy(model, reference=reference, temperature=temperature, checkpointing=settings.checkpointing)

"""From a recipe to a run that is ready to go: every choice that is left open until model and data are known."""

from __future__ import annotations

import random
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from truing import feedback, registry
from truing.bind import bind
from truing.chat import Chat, Truncation
from truing.checks import check, judges, reading_of
from truing.errors import DataError, RecipeError
from truing.experience.aspects import Scale, measure, standardise
from truing.experience.co_reward import CoReward, known_comparisons, trainable
from truing.experience.offline import Experience, Offline, tokenised
from truing.experience.online import Online, Rollouts
from truing.experience.stored import StoredTrees, TreeFile
from truing.feedback.files import refuse
from truing.group import Group
from truing.models import adapters, heads
from truing.models.forward import unwrap
from truing.models.kernels.compiler import none_is_kept
from truing.models.loading import best_device, load_causal_lm, load_tokenizer
from truing.models.policy import Policy, Reading
from truing.models.values import ValueModel, load_value_model
from truing.recipe import Recipe, RivalSettings
from truing.references import Remembered, is_cached, reference_for
from truing.rewards.score import Function, check_columns
from truing.tree import Tree
from truing.update import Updater

__all__ = ["Run", "Say", "read_groups", "read_trees", "silent", "wire"]


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
    aspects: Mapping[str, Scale] = field(default_factory=dict)
    """What each head scores, in their order, and the scale of the data's scores; empty for a single head."""
    remembered: Remembered | None = None
    """What the reference said, where that is kept."""

    @property
    def is_reward_model(self) -> bool:
        return self.reading is not None


Located = tuple[str, Group]

Say = Callable[[str, str], None]
"""Hears what is being done, and how far it is (empty where it takes no time worth mentioning)."""


def silent(stage: str, detail: str) -> None:
    """Nobody hears what is being done."""


def wire(recipe: Recipe, *, scratch: Path | None = None, say: Say = silent) -> Run:
    """Load model and data and put the parts together.

    Tokens of data from files lie in `scratch` (by default where temporary files do) as long as the run is alive; `say`
    hears of each stage before it begins.
    """
    loss, rewards, advantage = check(recipe)
    assert recipe.model.path is not None
    assert recipe.data.train is not None
    notes: list[str] = []
    torch.manual_seed(recipe.seed)
    say("loading the tokenizer", "")
    tokenizer = load_tokenizer(recipe.model.path)
    chat = _chat(recipe, tokenizer)
    groups: list[Located] = []
    held: list[Located] = []
    if recipe.online:
        say("reading the prompts", "")
        groups, held = read_groups(recipe, notes)
        for bound in rewards:
            check_columns(bound.name, bound.entry.function, [g for _, g in groups])
    reading = next((found for term in loss.terms if (found := reading_of(term))), None)
    experience: Experience
    heldout: Sequence[Tree] | Online | None
    aspects: dict[str, Scale] = {}
    remember: Callable[[Any], Remembered] | None = None
    if not recipe.online:
        # Data first: a wrong file should be heard of before a large model is loaded.
        made, kept = read_trees(recipe, chat, loss.reads, notes, scratch, say)
        if "aspect_scores" in loss.reads:
            aspects = measure(made)
            made, kept = (part.finished(lambda tree: standardise([tree], aspects)) for part in (made, kept))
            notes += [f"aspect `{name}` has one score only" for name, scale in aspects.items() if not scale.std]
        experience, heldout = _offline(recipe, made), kept
        if is_cached(recipe, loss.reads):
            # What is trained on is asked about with the products of training, what is held out with those of the model.
            known = chain(
                ((tree, recipe.update.autocast) for tree in experience.seen()), ((tree, False) for tree in kept)
            )
            remember = partial(Remembered, recipe, asked=known)
    labels = tuple(aspects) or ("reward",) * (reading is not None)
    asked = recipe.rollouts.rivals if recipe.rollouts else None
    rivals_are_other = asked is not None and asked.mixture > 0
    asks_reference = (
        rivals_are_other or recipe.reward_kl is not None or not loss.reads.isdisjoint({"ref_logprobs", "ref_kl"})
    )
    say("loading the model", "and compiling kernels, which takes some seconds once" if none_is_kept() else "")
    policy, remembered = _policy(recipe, labels, asks_reference, remember, needs_values="values" in loss.reads)
    if remembered is not None:
        assert policy.reference is not None
        notes.append(remembered.note(shared=policy.reference.shared))
    if recipe.online:
        from truing.rollouts.local import LocalRollouts

        rollouts = LocalRollouts(policy.model, stop_ids=chat.stop_ids, pad_id=chat.pad_id, decode=chat.decode)
        assert recipe.rollouts is not None
        assert recipe.update.steps is not None
        rivals = _rivals(policy, chat, asked) if asked else None
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
            recipe.reward_kl,
            frozenset(loss.reads | set(advantage.reads if advantage else ())),
            several_updates=recipe.update.passes * recipe.update.minibatches > 1,
            whole=recipe.update.minibatches == 1,
            rivals=rivals,
            co_reward=_co_reward(recipe, functions, [g for _, g in groups]),
        )
        heldout = replace(experience, prompts=[g for _, g in held], seed=recipe.seed + 1, num_steps=1) if held else None
        heldout = _judged(recipe, heldout, [g for _, g in held])
    updater = Updater(
        policy,
        loss,
        recipe.update,
        experience.steps,
        recipe.seed,
        value_lr=recipe.critic.lr_multiplier,
    )
    if isinstance(experience, Online):
        experience.assess = updater.assess
    notes += chat.notes()
    return Run(recipe, policy, chat, experience, updater, heldout, reading, notes, aspects, remembered)


def _judged(recipe: Recipe, heldout: Online | None, held: Sequence[Group]) -> Online | None:
    """The held-out prompts with those who judge their answers."""
    bound = judges(recipe)
    if not bound:
        return heldout
    if heldout is None:
        raise RecipeError(
            "there is no held-out prompt to judge",
            where="monitor.judge",
            remedy="Set data.validation, or a larger data.validation_share.",
        )
    for each in bound:
        check_columns(each.name, each.entry.function, held)
    heldout.judge = [(each.name, each.weight, each.function) for each in bound]
    return heldout


def _chat(recipe: Recipe, tokenizer: Any) -> Chat:
    data = recipe.data
    return Chat(
        tokenizer,
        data.template,
        max_prompt_tokens=data.max_prompt_tokens,
        max_response_tokens=data.max_response_tokens,
        truncation=Truncation(data.truncation),
    )


def _rows(source: str, recipe: Recipe, notes: list[str]) -> Iterator[Located]:
    """The groups of a source, streamed; at the end it is noted how many were left out. `DataError` if none is left."""
    data = recipe.data
    skipped = number = 0
    first: DataError | None = None

    def skip(error: DataError) -> None:
        nonlocal skipped, first
        skipped += 1
        first = first or error

    for row in feedback.located(source, format=data.format, on_bad=skip if data.skip_bad else refuse):
        number += 1
        yield row
    if first is not None:
        notes.append(f"{skipped} rows of {source} skipped as unreadable; the first: {first.where}: {first.found}")
    if not number:
        raise DataError("no usable row", where=source, remedy="`truing feedback check FILE` says what is in it.")


def _held(recipe: Recipe, number: int) -> set[int]:
    """Which of so many groups are held out."""
    size = min(int(number * recipe.data.validation_share), 1000)
    return set(random.Random(f"validation/{recipe.seed}").sample(range(number), size))


def read_groups(recipe: Recipe, notes: list[str]) -> tuple[list[Located], list[Located]]:
    """Training and held-out groups, each with its place, in memory."""
    data = recipe.data
    assert data.train is not None
    train = list(_rows(data.train, recipe, notes))
    if data.validation:
        return train, list(_rows(data.validation, recipe, notes))
    held = _held(recipe, len(train))
    return [g for i, g in enumerate(train) if i not in held], [train[i] for i in sorted(held)]


def read_trees(
    recipe: Recipe, chat: Chat, reads: Collection[str], notes: list[str], scratch: Path | None, say: Say = silent
) -> tuple[StoredTrees, StoredTrees]:
    """Training and held-out groups as tokens, made in one pass over the data, of which nothing stays in memory."""
    data = recipe.data
    counts: Counter[str] = Counter()

    def filed(source: str) -> tuple[TreeFile, array[int]]:
        """The trees of a source, and how many each of its groups gave."""
        file, sizes = TreeFile(scratch), array("q")
        stage, due = f"reading and tokenising {source}", time.monotonic()
        for found in tokenised(_rows(source, recipe, notes), chat, reads, counts):
            if time.monotonic() >= due:
                say(stage, f"{len(sizes):,} groups" if sizes else "")
                due += 1.0
            sizes.append(len(found))
            for tree in found:
                file.append(tree)
        say(stage, f"{len(sizes):,} groups, all")
        return file, sizes

    assert data.train is not None
    file, sizes = filed(data.train)
    if data.validation:
        other = filed(data.validation)[0]
        train, kept = StoredTrees(file, range(len(file))), StoredTrees(other, range(len(other)))
    else:
        held, number = _held(recipe, len(sizes)), 0
        parts = array("q"), array("q")
        for group, size in enumerate(sizes):
            parts[group in held].extend(range(number, number + size))
            number += size
        train, kept = (StoredTrees(file, part) for part in parts)
    notes += [f"{number} {what}" for what, number in counts.items()]
    return train, kept


def _offline(recipe: Recipe, made: Sequence[Tree]) -> Offline:
    if not made:
        raise DataError(
            "no group is left to train on",
            where=recipe.data.train,
            remedy="All were too long, tied or empty: `truing feedback stats FILE` shows which.",
        )
    return Offline(made, recipe.update.batch_size, recipe.update.epochs, recipe.seed, recipe.update.steps)


def _policy(
    recipe: Recipe,
    labels: Sequence[str],
    needs_reference: bool,
    remember: Callable[[Any], Remembered] | None,
    *,
    needs_values: bool,
) -> tuple[Policy, Remembered | None]:
    """The model to be trained; `labels` names the heads of a reward model, none for a language model. With what the
    reference is known to have said, where it is kept."""
    settings = recipe.model
    assert settings.path is not None
    model: Any = load_causal_lm(settings.path, dtype=settings.dtype)
    remembered = remember(model) if remember else None  # before anything is put on the model
    if labels:
        model = heads.reward_model_from(model, labels=labels)
    if settings.lora:
        model = adapters.with_lora(
            model, r=settings.lora.r, alpha=settings.lora.alpha, target_modules=settings.lora.target_modules
        )
    model.to(best_device())
    reference = reference_for(recipe, model, remembered) if needs_reference else None
    value = None
    if needs_values:
        value = _value(recipe, model).to(best_device())
    temperature = recipe.rollouts.temperature if recipe.rollouts else 1.0
    policy = Policy(
        model,
        reference=reference,
        value=value,
        temperature=temperature,
        checkpointing=settings.checkpointing,
        cache=remembered.cache if remembered else None,
    )
    return policy, remembered


def _co_reward(recipe: Recipe, rewards: Sequence[Function], groups: Sequence[Group]) -> CoReward | None:
    """Whoever teaches the reward models of the run."""
    settings = recipe.reward_updates
    if settings is None:
        return None
    bound = [bind(registry.reward, named) for named in settings.ask]
    for each in bound:
        check_columns(each.name, each.entry.function, groups)
    known = known_comparisons(list(feedback.read(settings.known))) if settings.known else []
    judge = [(each.name, each.weight, each.function) for each in bound]
    return CoReward(trainable(rewards), judge, settings, recipe.seed, known)


def _rivals(policy: Policy, chat: Chat, settings: RivalSettings) -> Rollouts:
    """Whoever answers beside the policy."""
    from truing.models.adapters import Reference
    from truing.rollouts.rivals import RivalRollouts

    # The policy itself needs nobody to be mixed with.
    reference = policy.reference or Reference(policy.model, shared=False)
    options = {"stop_ids": chat.stop_ids, "pad_id": chat.pad_id, "decode": chat.decode}
    return RivalRollouts(policy.model, reference, settings.mixture, **options)


def _value(recipe: Recipe, model: Any) -> heads.ValueHead | ValueModel:
    """The head on the policy, or the model in the folder that the recipe names."""
    if recipe.critic.path is None:
        return heads.value_head(model)
    return load_value_model(
        recipe.critic.path,
        dtype=recipe.model.dtype,
        vocabulary=unwrap(model).get_input_embeddings().weight.shape[0],
        checkpointing=recipe.model.checkpointing,
    )

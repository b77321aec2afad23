"""Which stage of a recipe makes each stream, and who reads it."""

from __future__ import annotations

from truing import registry
from truing.bind import Bound, bind
from truing.recipe import Recipe, RolloutSettings, RoundsSettings
from truing.references import is_cached
from truing.streams import STREAMS

__all__ = ["explain"]

HEADS = {"rewards", "token_rewards", "pair_scores", "aspect_rewards"}
"""Streams that the heads of a reward model make."""


def explain(recipe: Recipe) -> str:
    """The flow of streams of a recipe as text."""
    terms = [bind(registry.objective, named) for named in recipe.objectives]
    advantage = bind(registry.advantage, recipe.advantage) if recipe.advantage else None
    reads = {name for term in terms for name in term.reads}
    lines = [f"{recipe.name}: {recipe.summary}", f"  {recipe.paper}", ""]
    if recipe.rounds and recipe.rollouts:
        lines += _rounds(recipe, recipe.rounds, recipe.rollouts)
    elif recipe.rollouts:
        lines += _online(recipe, recipe.rollouts, advantage)
    else:
        u = recipe.update
        lines.append(f"experience   groups from files, {u.batch_size} a step, {u.epochs} epoch(s)")
    for term in terms:
        weight = "" if term.weight == 1.0 else f"{term.weight} x "
        lines.append(f"objective    {weight}{term.name}{_settings(term.settings)}: {term.entry.summary}")
    lines.append(f"reduction    {recipe.reduction}")
    lines += ["", f"{'stream':23}{'shape':13}{'made by':22}read by"]
    readers = {name: [t.name for t in terms if name in t.reads] for name in reads}
    if advantage:
        for name in advantage.reads:
            readers.setdefault(name, []).append(advantage.name)
    if recipe.reward_kl:
        readers.setdefault("ref_logprobs", []).append("reward_kl")
    for name, stream in STREAMS.items():
        if name in readers:
            maker = _maker(name, stream.maker, recipe, name in reads)
            lines.append(f"{name:23}{stream.shape or 'one number':13}{maker:22}{', '.join(readers[name])}")
    models = ["the policy" if reads.isdisjoint(HEADS) else "the reward model"]
    if "values" in reads:
        models.append(f"the value model ({recipe.critic.path or 'a head on the policy'})")
    rivals = recipe.rollouts.rivals if recipe.rollouts else None
    asked_too = recipe.reward_kl is not None or (rivals is not None and rivals.mixture > 0)
    if asked_too or not reads.isdisjoint({"ref_logprobs", "ref_kl"}):
        how = "adapters off" if recipe.model.lora else recipe.model.reference or "frozen copy"
        if recipe.rounds and recipe.rounds.refer_to == "first":
            how = "the model that the rounds began with"
        models.append(f"the reference ({how})")
    if recipe.rounds:
        lines += ["", "models in memory: while sampling the last round's model and the rewards"]
        lines.append(f"                  while training {', '.join(models)}")
        return "\n".join(lines)
    lines += ["", f"models in memory: {', '.join(models)}"]
    if is_cached(recipe, reads):
        lines.append("ref_logprobs are kept on disk, and the reference is asked about what is not known yet")
    elif not recipe.online and "ref_kl" in reads:
        lines.append("the reference runs at every step: ref_kl needs all its probabilities, which are not kept")
    return "\n".join(lines)


def _online(recipe: Recipe, rollouts: RolloutSettings, advantage: Bound | None) -> list[str]:
    names = ", ".join(n.name for n in recipe.rewards) or "(none named yet: --reward)"
    lines = [f"experience   {rollouts.prompts_per_step} prompts x {rollouts.group_size} samples of the policy a step"]
    if v := rollouts.rivals:
        ends = {0.0: "the policy", 1.0: "the reference"}
        who = ends.get(v.mixture, f"policy and reference ({v.mixture:g}) mixed")
        how = "trained on too" if v.trained else "compared with only"
        lines.append(f"rivals       {v.samples} answer(s) of {who} to each prompt, {how} (compare: {v.compare})")
    how = f" ({recipe.combination.by})" if recipe.combination.by != "weighted" else ""
    lines.append(f"rewards      {names}{how}")
    if k := recipe.reward_kl:
        held = f", held at {k.target:g} nats a response" if k.target else ""
        lines.append(
            f"reward_kl    less {k.coefficient:g} x {k.estimator} of KL from the reference at each token{held}"
        )
    if taught := recipe.reward_updates:
        asked = ", ".join(n.name for n in taught.ask) or "(none named yet)"
        every, number = taught.every, taught.comparisons
        lines.append(f"they learn   every {every} steps, from {number} comparisons by {asked}")
    if advantage:
        lines.append(f"advantage    {advantage.name}{_settings(advantage.settings)}: {advantage.entry.summary}")
    return lines


def _rounds(recipe: Recipe, rounds: RoundsSettings, rollouts: RolloutSettings) -> list[str]:
    """What one round does, from prompts to the next model."""
    names = ", ".join(n.name for n in recipe.rewards) or "(none named yet: --reward)"
    gap = f", at least {rounds.gap:g} apart" if rounds.gap else ""
    floor = f", none below {rounds.at_least:g}" if rounds.at_least is not None else ""
    what = {
        "best_worst": f"{rounds.per_prompt} pair(s) a prompt, the best against the worst{gap}{floor}",
        "best": f"the best {rounds.per_prompt} of each prompt{gap}{floor}",
        "all": f"every sample with its reward{gap}",
    }[rounds.select]
    start = "the round before" if rounds.start_from == "last" else "the first model"
    data = "this round's" if rounds.train_on == "last" else "this and all earlier rounds'"
    held = recipe.data.validation or f"{recipe.data.validation_share:.0%} of the prompts, held out"
    stop = {
        "not_better": "its reward is not surely above the best so far",
        "worse": "its reward is surely below the best so far",
        "never": None,
    }[rounds.stop_when]
    far = f"it is more than {rounds.max_kl:g} nats from the first model" if rounds.max_kl else None
    u = recipe.update
    return [
        f"rounds       at most {rounds.number}; each:",
        f"  sample     {rollouts.group_size} responses of the last round's model for "
        f"{rounds.prompts or 'all'} prompts, temperature {rollouts.temperature:g}",
        f"  rewards    {names}",
        f"  select     {what}",
        f"  train      the model of {start} on {data} selection, {u.batch_size} groups a step, {u.epochs} epoch(s)",
        f"  evaluate   on {held}: mean reward, interval, KL from the first model",
        f"  stop       {' or '.join(f'when {why}' for why in (stop, far) if why) or 'never early'}",
        "model/       of the last round that was surely better than the best before it",
    ]


def _maker(name: str, maker: str, recipe: Recipe, by_objective: bool) -> str:
    if name in HEADS - {"rewards"}:
        return "reward head"
    if name == "rewards":
        return "reward head" if by_objective else "rewards"
    return maker


def _settings(settings: object) -> str:
    items = dict(settings)  # type: ignore[call-overload]
    return f" ({', '.join(f'{k} = {v}' for k, v in items.items())})" if items else ""

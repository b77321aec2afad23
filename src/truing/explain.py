"""Which stage of a recipe makes each stream, and who reads it."""

from __future__ import annotations

from truing import registry
from truing.bind import bind
from truing.recipe import Recipe
from truing.streams import STREAMS

__all__ = ["explain"]


def explain(recipe: Recipe) -> str:
    """The flow of streams of a recipe as text."""
    terms = [bind(registry.objective, named) for named in recipe.objectives]
    advantage = bind(registry.advantage, recipe.advantage) if recipe.advantage else None
    reads = {name for term in terms for name in term.reads}
    lines = [f"{recipe.name}: {recipe.summary}", f"  {recipe.paper}", ""]
    if recipe.rollouts:
        r = recipe.rollouts
        names = ", ".join(n.name for n in recipe.rewards) or "(none named yet: --reward)"
        lines.append(f"experience   {r.prompts_per_step} prompts x {r.group_size} samples of the policy a step")
        how = f" ({recipe.combination.by})" if recipe.combination.by != "weighted" else ""
        lines.append(f"rewards      {names}{how}")
        if advantage:
            lines.append(f"advantage    {advantage.name}{_settings(advantage.settings)}: {advantage.entry.summary}")
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
    for name, stream in STREAMS.items():
        if name in readers:
            maker = _maker(name, stream.maker, recipe, name in reads)
            lines.append(f"{name:23}{stream.shape or 'one number':13}{maker:22}{', '.join(readers[name])}")
    models = ["the policy" if reads.isdisjoint({"rewards", "token_rewards"}) else "the reward model"]
    if "ref_logprobs" in reads:
        how = "adapters off" if recipe.model.lora else recipe.model.reference or "frozen copy"
        models.append(f"the reference ({how})")
    lines += ["", f"models in memory: {', '.join(models)}"]
    return "\n".join(lines)


def _maker(name: str, maker: str, recipe: Recipe, by_objective: bool) -> str:
    if name == "token_rewards":
        return "reward head"
    if name == "rewards":
        return "reward head" if by_objective else "rewards"
    return maker


def _settings(settings: object) -> str:
    items = dict(settings)  # type: ignore[call-overload]
    return f" ({', '.join(f'{k} = {v}' for k, v in items.items())})" if items else ""

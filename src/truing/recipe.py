"""Recipes: typed settings of a whole training run, as YAML.

An algorithm is a recipe: where experience comes from, which advantage, which weighted objectives, which reduction.
`recipes/*.yaml` ship with the package; a user's own is a path. Unknown keys are refused with a suggestion, impossible
combinations with the reason. Imports neither torch nor transformers: objectives are named here and looked up when a
run is wired (`check`).
"""

from __future__ import annotations

import difflib
import io
import types
import typing
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from truing.errors import RecipeError
from truing.settings import (
    CombinationSettings,
    CriticSettings,
    DataSettings,
    Lora,
    ModelSettings,
    MonitorSettings,
    Named,
    RecordSettings,
    RewardKL,
    RewardUpdates,
    RivalSettings,
    RolloutSettings,
    RoundsSettings,
    Section,
    Term,
    UpdateSettings,
    as_named,
)

__all__ = [
    "CombinationSettings",
    "CriticSettings",
    "DataSettings",
    "Lora",
    "ModelSettings",
    "MonitorSettings",
    "Named",
    "Recipe",
    "RecordSettings",
    "RewardKL",
    "RewardUpdates",
    "RivalSettings",
    "RolloutSettings",
    "RoundsSettings",
    "UpdateSettings",
    "assignments",
    "dump",
    "labels_of",
    "load",
    "names",
    "parse",
]


_COMPARING = ("group_mean", "group_rank", "leave_one_out")
"""Advantages that compare within a group."""


class Recipe(Section):
    """A whole training run."""

    name: str = "custom"
    """By default the name of its file."""
    summary: str = ""
    """What it does, in a sentence."""
    paper: str = ""
    """Where it comes from."""
    seed: int = 0
    """Decides order of data, sampling, and new weights."""
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    rollouts: RolloutSettings | None = None
    """Present: responses are sampled from the policy (online). Absent: they are read from files (offline)."""
    rounds: RoundsSettings | None = None
    """Present: sampling and training take turns. `rollouts` and `rewards` say how samples are made and scored, the rest
    how each round trains on files of them."""
    rewards: list[Term] = Field(default_factory=list)
    """Reward functions with weights (online)."""
    combination: CombinationSettings = CombinationSettings()
    """How several rewards become one number (online)."""
    reward_kl: RewardKL | None = None
    """A KL penalty inside the reward (online)."""
    reward_updates: RewardUpdates | None = None
    """Reward models that learn along with the policy (online)."""
    advantage: Term | None = None
    """From rewards to advantages (online)."""
    critic: CriticSettings = CriticSettings()
    """Who says the values, if anybody reads them (online)."""
    objectives: list[Term] = Field(min_length=1)
    """Weighted terms of the loss."""
    reduction: Literal["token", "sequence", "group", "constant"] = "token"
    """How unreduced values become one number."""
    update: UpdateSettings = UpdateSettings()
    record: RecordSettings = RecordSettings()
    monitor: MonitorSettings = MonitorSettings()

    @property
    def online(self) -> bool:
        return self.rollouts is not None

    @model_validator(mode="after")
    def _combinations(self) -> Recipe:
        rollouts = self.rollouts
        self._check_combination()
        if self.rounds is not None:
            self._check_rounds()
            return self
        if rollouts is None:
            if self.rewards or self.advantage or self.reward_kl or self.reward_updates:
                raise ValueError(
                    "rewards, reward_kl, reward_updates and an advantage need `rollouts`: "
                    "without it responses come from files"
                )
            if self.monitor.judge:
                raise ValueError("monitor.judge scores samples, and without `rollouts` there are none")
            return self
        if self.update.steps is None:
            raise ValueError("an online run has no end of its own: set update.steps")
        if self.monitor.judge and not self.record.evaluate_every:
            raise ValueError(
                "monitor.judge is asked at every evaluation, and there is one at the end only: set "
                "record.evaluate_every"
            )
        if self.update.minibatches > rollouts.prompts_per_step:
            raise ValueError(
                f"update.minibatches = {self.update.minibatches} with rollouts.prompts_per_step = "
                f"{rollouts.prompts_per_step}: a group is never split, so there are too few groups"
            )
        if self.advantage and self.advantage.name in _COMPARING and rollouts.group_size < 2:
            raise ValueError(
                f"advantage `{self.advantage.name}` with rollouts.group_size = {rollouts.group_size} has no baseline: "
                "every advantage would be 0. Use group_size >= 2"
            )
        return self

    def _check_rounds(self) -> None:
        """`ValueError` for what rounds cannot do without, and for settings that would be without effect."""
        if self.rollouts is None:
            raise ValueError("`rounds` need `rollouts`: how the samples of each round are made")
        if self.advantage or self.reward_kl or self.reward_updates:
            raise ValueError("in rounds models learn from files: no advantage, no reward_kl, no reward_updates")
        if self.monitor.judge:
            raise ValueError("monitor.judge scores the samples of an online run; rounds are judged by their rewards")
        plain = RolloutSettings()
        for name in ("mask_truncated", "refill", "old_logprobs", "pairs", "rivals"):
            if (said := getattr(self.rollouts, name)) != getattr(plain, name):
                raise ValueError(f"rollouts.{name} = {said} has no meaning in rounds")
        if self.combination.by == "lexicographic" or self.combination.normalise != "none" or self.combination.calibrate:
            raise ValueError(
                "rounds are compared by their rewards, which have to mean the same in each: use combination: "
                "{by: weighted or constrained, normalise: none, calibrate: 0}"
            )
        if self.model.reference:
            raise ValueError("in rounds the reference is chosen by rounds.refer_to, not by model.reference")
        if self.data.validation is None and self.data.validation_share == 0:
            raise ValueError("rounds are judged on held-out prompts: set data.validation or data.validation_share")
        if self.rounds and self.rounds.select != "best" and self.rollouts.group_size < 2:
            raise ValueError(
                f"rounds.select = {self.rounds.select} with rollouts.group_size = {self.rollouts.group_size}: "
                "there is nothing to compare. Use group_size >= 2"
            )

    def _check_combination(self) -> None:
        """`ValueError` for settings of a combination that is not the one chosen: they would be without effect."""
        said, names = self.combination, labels_of(named.name for named in self.rewards)
        if said.by != "lexicographic" and said.tolerance:
            raise ValueError(f"combination.tolerance has no meaning with combination.by = {said.by}")
        if (said.by == "constrained") != bool(said.thresholds):
            raise ValueError("combination.thresholds and combination.by = constrained need each other")
        unknown = sorted(said.thresholds.keys() - set(names))
        if unknown:
            raise ValueError(
                f"combination.thresholds names `{unknown[0]}`; the rewards are {', '.join(names) or 'none'}"
            )


def labels_of(names: Iterable[str]) -> list[str]:
    """Names told apart: the second `model` is `model_2`."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return out


# ---- reading -------------------------------------------------------------------------------------------------------


def _shipped() -> Traversable:
    return resources.files("truing") / "recipes"


def names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(f.name.removesuffix(".yaml") for f in _shipped().iterdir() if f.name.endswith(".yaml"))


def load(source: str | Path, overrides: Mapping[str, Any] | Iterable[str] = ()) -> Recipe:
    """A recipe by shipped name or by path, with `key=value` overrides.

    A key is a dotted path (`update.learning_rate`), a term's setting (`dpo.beta`, `rewards.model.path`), or the end of
    either where that is unambiguous (`learning_rate`, `lora.r`, `beta`). Values are YAML.
    """
    text, where = _text(str(source))
    try:
        raw = yaml.safe_load(io.StringIO(text))
    except yaml.YAMLError as error:
        raise RecipeError(f"this is not YAML: {error}", where=where) from error
    if not isinstance(raw, dict):
        raise RecipeError(f"expected keys and values, found {type(raw).__name__}", where=where)
    raw.setdefault("name", Path(where).stem)
    for key, value in (overrides if isinstance(overrides, Mapping) else assignments(overrides)).items():
        _set(raw, key, value)
    return parse(raw, where)


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """`key=value` texts as a mapping; values are YAML."""
    return dict(_split(text) for text in texts)


def parse(raw: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain data; errors name the key, what was found and the remedy."""
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            *parents, key = (str(p) for p in first["loc"])
            known = _fields_at(parents)
            near = difflib.get_close_matches(key, known, 1)
            elsewhere = [p for p in _paths() if p.split(".")[-1] == key]
            hint = f"Did you mean `{near[0]}`?" if near else f"Did you mean `{elsewhere[0]}`?" if elsewhere else ""
            remedy = f"{hint} Known here: {', '.join(known)}.".strip()
            raise RecipeError(f"unknown key `{path}`", where=where, remedy=remedy) from error
        found = f" (found {first['input']!r})" if path and not isinstance(first["input"], dict | BaseModel) else ""
        message = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{path + ': ' if path else ''}{message}{found}", where=where) from error


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out."""
    data = recipe.model_dump(mode="json")
    data["rewards"] = [_short(n) for n in data["rewards"]]
    data["objectives"] = [_short(n) for n in data["objectives"]]
    data["advantage"] = _short(data["advantage"]) if data["advantage"] else None
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _short(named: dict[str, Any]) -> dict[str, Any]:
    return {named["name"]: named["settings"], "weight": named["weight"]}


def _text(source: str) -> tuple[str, str]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise RecipeError("no such file", where=source, remedy=f"Shipped recipes: {', '.join(names())}.")
        return path.read_text(encoding="utf-8"), source
    if source not in names():
        near = difflib.get_close_matches(source, names(), 1)
        hint = f"Did you mean `{near[0]}`? " if near else ""
        remedy = f"{hint}Shipped: {', '.join(names())}; or the path of a .yaml file."
        raise RecipeError(f"there is no recipe `{source}`", remedy=remedy)
    return (_shipped() / f"{source}.yaml").read_text(encoding="utf-8"), f"{source}.yaml"


# ---- overrides -----------------------------------------------------------------------------------------------------


def _split(override: str) -> tuple[str, Any]:
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(
            f"`{override}` is no key=value", where="--set", remedy="As in --set update.learning_rate=1e-5"
        )
    return key.strip(), _number(yaml.safe_load(value))


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-5 as text; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _sections(model: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, type[BaseModel] | None]]:
    for name, info in model.model_fields.items():
        nested = _section(info.annotation)
        yield prefix + name, nested
        if nested is not None and nested is not Named:
            yield from _sections(nested, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _paths() -> list[str]:
    """Dotted paths of all settings that are not themselves sections."""
    return [path for path, nested in _sections(Recipe) if nested is None]


def _fields_at(parents: list[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in parents:
        info = model.model_fields.get(part)
        nested = _section(info.annotation) if info else None
        if nested is None:
            break
        model = nested
    return list(model.model_fields)


def _named_terms(raw: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """(name, settings) of every objective, reward and advantage, with the settings made editable in place."""
    for section in ("objectives", "rewards"):
        terms = raw.get(section) or []
        for index, term in enumerate(terms):
            named = as_named(term)
            terms[index] = named = {"settings": {}, **named}
            yield named["name"], named["settings"]
    if raw.get("advantage"):
        raw["advantage"] = named = {"settings": {}, **as_named(raw["advantage"])}
        yield named["name"], named["settings"]


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    terms = list(_named_terms(raw))
    section, _, inner = key.partition(".")
    # dpo.beta, or objectives.dpo.beta; a section of the recipe (`model`) comes before a term of that name.
    term = inner if section in ("objectives", "rewards", "advantage") else "" if section in Recipe.model_fields else key
    first, _, rest = term.partition(".")
    for name, settings in terms:
        if first == name and rest:
            settings[rest] = value
            return
    if key not in _paths() and section not in Recipe.model_fields:
        matches = [p for p in _paths() if p.endswith(f".{key}")]
        holders = [s for _, s in terms if key in s]
        if len(matches) + len(holders) > 1:
            options = matches + [f"{n}.{key}" for n, s in terms if key in s]
            raise RecipeError(f"`{key}` is ambiguous", where="--set", remedy=f"Say one of {', '.join(options)}.")
        if holders:
            holders[0][key] = value
            return
        if matches:
            key = matches[0]
        else:
            known = [p.split(".")[-1] for p in _paths()] + [k for _, s in terms for k in s]
            near = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean `{near[0]}`?" if near else "`truing recipes NAME` prints every key."
            raise RecipeError(f"unknown key `{key}`", where="--set", remedy=hint)
    node = raw
    *parents, leaf = key.split(".")
    for part in parents:
        node[part] = node.get(part) or {}
        node = node[part]
        if not isinstance(node, dict):
            raise RecipeError(f"`{part}` in `{key}` has no keys of its own", where="--set")
    node[leaf] = value

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
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from truing.errors import RecipeError

__all__ = [
    "CombinationSettings",
    "DataSettings",
    "Lora",
    "ModelSettings",
    "Named",
    "Recipe",
    "RecordSettings",
    "RolloutSettings",
    "UpdateSettings",
    "assignments",
    "dump",
    "labels_of",
    "load",
    "names",
    "parse",
]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Named(_Settings):
    """A registered function, its settings and its weight. In YAML: `dpo`, `{dpo: {beta: 0.1}}` or
    `{dpo: {beta: 0.1}, weight: 0.5}`."""

    name: str
    settings: dict[str, Any] = {}
    weight: float = 1.0


def _named(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping) or "name" in value:
        return value
    keys = [key for key in value if key != "weight"]
    if len(keys) != 1 or not isinstance(value[keys[0]] or {}, Mapping):
        raise ValueError(f"expected one name with its settings, as in {{dpo: {{beta: 0.1}}}}, found {dict(value)}")
    return {"name": keys[0], "settings": dict(value[keys[0]] or {}), "weight": value.get("weight", 1.0)}


Term = Annotated[Named, BeforeValidator(_named)]


class Lora(_Settings):
    """Low-rank adapters (arXiv:2106.09685): train these and keep the model as it is."""

    r: int = Field(16, ge=1)
    """Rank: more can learn more, and costs more."""
    alpha: float = 32.0
    """Scale: adapters are multiplied by alpha / r."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Refused unless 0: sampling and training must see the same model."""
    target_modules: str | list[str] = "all-linear"
    """Which layers get adapters."""


class ModelSettings(_Settings):
    path: str | None = None
    """Folder or hub name of the model to train."""
    reference: str | None = None
    """Folder or hub name of the reference; by default the model as it was when training began."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. bfloat16 halves memory, and loses updates smaller than 1/256 of a weight: meant for LoRA,
    whose adapters stay float32. For full training keep float32 and set update.autocast."""
    lora: Lora | None = None
    """Train adapters instead of all weights."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""


class DataSettings(_Settings):
    train: str | None = None
    """File, folder or hub name of the training groups (or prompts)."""
    validation: str | None = None
    """File of held-out groups; by default a share of the training file."""
    validation_share: float = Field(0.05, ge=0.0, lt=1.0)
    """Share of the training groups held out when no validation file is given."""
    format: str | None = None
    """Name of the format; by default it is recognised."""
    skip_bad: bool = False
    """Skip rows that cannot be read, and count them, instead of stopping."""
    template: str = "auto"
    """Chat template: the tokenizer's own, or chatml, alpaca, llama-2, llama-3, zephyr, plain, or a .jinja file."""
    max_prompt_tokens: int | None = 1024
    """Longer prompts are cut by `truncation`."""
    max_response_tokens: int | None = 2048
    """Longer responses are cut by `truncation`."""
    truncation: Literal["keep_end", "keep_start", "drop"] = "keep_end"
    """What to do with text that is too long; how often it happened is logged."""


class RolloutSettings(_Settings):
    group_size: int = Field(8, ge=1)
    """Responses sampled for each prompt."""
    prompts_per_step: int = Field(16, ge=1)
    """Prompts answered for each step."""
    max_new_tokens: int = Field(256, ge=1)
    """Longest response."""
    temperature: float = Field(1.0, gt=0.0)
    """Softness of sampling; training divides by it too."""
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    """Sample from the smallest set of tokens with this probability. Below 1 the samples are off-policy."""
    top_k: int = Field(0, ge=0)
    """Sample from the k most probable tokens; 0 = all."""
    missing_end_penalty: float = 0.0
    """Taken from the reward of a response that was cut at the limit."""


class CombinationSettings(_Settings):
    by: Literal["weighted", "lexicographic", "constrained"] = "weighted"
    """weighted: their sum by weight. lexicographic: compared within a group by the first reward; a later one decides
    what the earlier ones leave open. constrained: the sum, less a penalty where a reward misses its threshold."""
    normalise: Literal["none", "group", "batch"] = "none"
    """Give each reward mean 0 and spread 1 first, over its group or the batch, so that weights mean what they say."""
    tolerance: float = Field(0.0, ge=0.0)
    """lexicographic: rewards this near to each other are a tie."""
    thresholds: dict[str, float] = {}
    """constrained: what these rewards have to reach, in their own units. A second reward of one name is `name_2`."""
    penalty: float = Field(10.0, ge=0.0)
    """constrained: taken from the sum for each unit below a threshold."""


class UpdateSettings(_Settings):
    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls after warm-up."""
    warmup: float = Field(0.05, ge=0.0, lt=1.0)
    """Share of the steps in which the learning rate rises."""
    final_share: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the peak learning rate that is left at the end."""
    weight_decay: float = Field(0.0, ge=0.0)
    """AdamW weight decay of matrices."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW decay rates of the gradient's mean and variance."""
    eps: float = Field(1e-8, gt=0)
    """AdamW's epsilon."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    batch_size: int = Field(32, ge=1)
    """Groups per optimizer step (offline)."""
    epochs: int = Field(1, ge=1)
    """Passes over the data (offline)."""
    steps: int | None = Field(None, ge=1)
    """Stop after so many steps. Online runs need it; offline it cuts the epochs short."""
    passes: int = Field(1, ge=1)
    """Passes over each batch of rollouts (PPO epochs), each with a fresh permutation."""
    minibatches: int = Field(1, ge=1)
    """Optimizer steps in each pass over a batch of rollouts."""
    tokens_per_batch: int | None = Field(None, ge=1)
    """Budget of tokens that go through the model at once. Bounds memory; the result does not depend on it. By default
    2,048 on a CPU, where small micro-batches cost no time (docs/performance.md), and 8,192 elsewhere."""
    autocast: bool = False
    """bfloat16 products with float32 weights."""


class RecordSettings(_Settings):
    evaluate_every: int = Field(0, ge=0)
    """Evaluate on held-out groups every so many steps; 0 = at the end only."""
    save_every: int = Field(100, ge=0)
    """Write a checkpoint every so many steps; 0 = at the end only."""
    keep: int = Field(2, ge=1)
    """How many checkpoints are kept."""
    sample_every: int = Field(10, ge=0)
    """Write sample texts every so many steps; 0 = never."""


class Recipe(_Settings):
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
    rewards: list[Term] = []
    """Reward functions with weights (online)."""
    combination: CombinationSettings = CombinationSettings()
    """How several rewards become one number (online)."""
    advantage: Term | None = None
    """From rewards to advantages (online)."""
    objectives: list[Term] = Field(min_length=1)
    """Weighted terms of the loss."""
    reduction: Literal["token", "sequence", "group", "constant"] = "token"
    """How unreduced values become one number."""
    update: UpdateSettings = UpdateSettings()
    record: RecordSettings = RecordSettings()

    @property
    def online(self) -> bool:
        return self.rollouts is not None

    @model_validator(mode="after")
    def _combinations(self) -> Recipe:
        rollouts = self.rollouts
        self._check_combination()
        if rollouts is None:
            if self.rewards or self.advantage:
                raise ValueError("rewards and an advantage need `rollouts`: without it responses come from files")
            return self
        if self.update.steps is None:
            raise ValueError("an online run has no end of its own: set update.steps")
        if self.update.minibatches > rollouts.prompts_per_step:
            raise ValueError(
                f"update.minibatches = {self.update.minibatches} with rollouts.prompts_per_step = "
                f"{rollouts.prompts_per_step}: a group is never split, so there are too few groups"
            )
        if self.advantage and self.advantage.name in ("group_mean", "leave_one_out") and rollouts.group_size < 2:
            raise ValueError(
                f"advantage `{self.advantage.name}` with rollouts.group_size = {rollouts.group_size} has no baseline: "
                "every advantage would be 0. Use group_size >= 2"
            )
        return self

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
            named = _named(term)
            terms[index] = named = {"settings": {}, **named}
            yield named["name"], named["settings"]
    if raw.get("advantage"):
        raw["advantage"] = named = {"settings": {}, **_named(raw["advantage"])}
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

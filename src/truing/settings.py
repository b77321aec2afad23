"""The sections of a recipe: every setting with its type, its default and its effect.

Unknown keys are refused. Imports neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "CombinationSettings",
    "CriticSettings",
    "DataSettings",
    "Lora",
    "ModelSettings",
    "MonitorSettings",
    "Named",
    "RecordSettings",
    "RewardKL",
    "RewardUpdates",
    "RivalSettings",
    "RolloutSettings",
    "RoundsSettings",
    "Section",
    "Term",
    "UpdateSettings",
    "as_named",
]


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Named(Section):
    """A registered function, its settings and its weight. In YAML: `dpo`, `{dpo: {beta: 0.1}}` or
    `{dpo: {beta: 0.1}, weight: 0.5}`."""

    name: str
    settings: dict[str, Any] = {}
    weight: float = 1.0


def as_named(value: Any) -> Any:
    """A name, or a name with its settings, as plain data for `Named`."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping) or "name" in value:
        return value
    keys = [key for key in value if key != "weight"]
    if len(keys) != 1 or not isinstance(value[keys[0]] or {}, Mapping):
        raise ValueError(f"expected one name with its settings, as in {{dpo: {{beta: 0.1}}}}, found {dict(value)}")
    return {"name": keys[0], "settings": dict(value[keys[0]] or {}), "weight": value.get("weight", 1.0)}


Term = Annotated[Named, BeforeValidator(as_named)]


class Lora(Section):
    """Low-rank adapters (arXiv:2106.09685): train these and keep the model as it is."""

    r: int = Field(16, ge=1)
    """Rank: more can learn more, and costs more."""
    alpha: float = 32.0
    """Scale: adapters are multiplied by alpha / r."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Refused unless 0: sampling and training must see the same model."""
    target_modules: str | list[str] = "all-linear"
    """Which layers get adapters."""


class ModelSettings(Section):
    path: str | None = None
    """Folder or hub name of the model to train."""
    reference: str | None = None
    """Folder or hub name of the reference; by default the model as it was when training began."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. bfloat16 halves memory, and loses updates smaller than 1/256 of a weight: meant for LoRA,
    whose adapters stay float32. For full training keep float32 and set update.autocast."""
    lora: Lora | None = None
    """Train adapters instead of all weights."""
    reference_cache_gb: float = Field(2.0, ge=0.0)
    """What the reference says of responses from files is kept on disk for later epochs and runs, in at most so many
    gigabytes for all runs together (docs/performance.md says where). 0 = ask the reference every time."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""


class DataSettings(Section):
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


class RivalSettings(Section):
    """Responses that somebody else gives to the same prompts, beside those of the policy."""

    samples: int = Field(1, ge=1)
    """How many for each prompt."""
    mixture: float = Field(1.0, ge=0.0, le=1.0)
    """Who samples them: at every token π^(1 − mixture) · π_ref^mixture, made a distribution. 1 is the reference, 0 the
    policy itself."""
    trained: bool = True
    """Train on them too, as objectives over pairs need. Off: they are what the policy's responses are compared with,
    and nothing else."""
    compare: Literal["none", "sigmoid", "wins"] = "none"
    """What becomes of a reward r: `none` leaves it; `sigmoid` makes it the mean of σ(r − r′) over the r′ of the other
    side, the probability of being preferred if the rewards are a Bradley-Terry model's; `wins` the share of the other
    side that it beats, a tie counting half."""


class RolloutSettings(Section):
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
    mask_truncated: bool = False
    """Do not train on responses that were cut at the limit: what they would have become, nobody knows (DAPO's
    overlong filtering, arXiv:2503.14476, sec. 3.4)."""
    refill: int = Field(0, ge=0)
    """Replace prompts whose responses are all worth the same, which teach nothing, by others, up to so many times a
    step (DAPO's dynamic sampling, arXiv:2503.14476, sec. 3.2). 0 = keep them."""
    old_logprobs: Literal["training", "sampling"] = "training"
    """Where the ratio π/π_old takes π_old from: `training` computes it with the forward pass that trains, so that the
    first ratio is exactly 1; `sampling` believes whoever sampled."""
    pairs: Literal["best_worst", "all"] = "best_worst"
    """Which comparisons an objective over pairs gets out of the rewards of a group."""
    rivals: RivalSettings | None = None
    """Present: somebody else answers each prompt too, the reference or its mixture with the policy."""


class RoundsSettings(Section):
    """Sample, score, select, train, evaluate; then again with the new model (docs/rounds.md)."""

    number: int = Field(3, ge=1)
    """At most so many rounds."""
    prompts: int | None = Field(None, ge=1)
    """Prompts answered in each round, in order of one shuffled pass over the data after another; by default all."""
    select: Literal["best_worst", "best", "all"] = "best_worst"
    """What is trained on of the samples for a prompt. best_worst: the best against the worst, a pair. best: the best,
    to be imitated. all: every sample with its reward, ranked."""
    per_prompt: int = Field(1, ge=1)
    """best_worst: so many pairs, the second best against the second worst next. best: so many different samples."""
    gap: float = Field(0.0, ge=0.0)
    """Leave out pairs whose rewards are less apart than this, and prompts whose best and worst are. Equal is never a
    pair."""
    at_least: float | None = None
    """A sample worth less than this is never chosen; with select = all it gets a thumb down."""
    train_on: Literal["last", "every"] = "last"
    """last: on what the last round selected. every: on that of the rounds before too."""
    start_from: Literal["last", "first"] = "last"
    """Which model a round goes on training: the one of the round before, or the one that the rounds began with."""
    refer_to: Literal["start", "first"] = "start"
    """The reference of a round: the model that it goes on training, or the one that the rounds began with."""
    evaluation_samples: int = Field(1, ge=1)
    """Samples for each held-out prompt (data.validation, data.validation_share) with which a round is judged."""
    stop_when: Literal["not_better", "worse", "never"] = "not_better"
    """not_better: stop after a round whose held-out reward is not above the best so far with certainty (the 95 %
    interval of the difference, prompt by prompt, reaches 0). worse: after one that is certainly below."""
    max_kl: float | None = Field(None, gt=0)
    """Stop after a round whose model is further than this many nats a response from the one that the rounds began
    with, and do not keep it."""


class CombinationSettings(Section):
    by: Literal["weighted", "lexicographic", "constrained"] = "weighted"
    """weighted: their sum by weight. lexicographic: compared within a group by the first reward; a later one decides
    what the earlier ones leave open. constrained: the sum, less a penalty where a reward misses its threshold."""
    normalise: Literal["none", "group", "batch"] = "none"
    """Give each reward mean 0 and spread 1 first, over its group or the batch, so that weights mean what they say."""
    tolerance: float = Field(0.0, ge=0.0)
    """lexicographic: rewards this near to each other are a tie."""
    thresholds: dict[str, float] = {}
    """constrained: what these rewards have to reach, in their own units. A second reward of one name is `name_2`."""
    calibrate: int = Field(0, ge=0)
    """Before the first step, sample so many responses and give each reward mean 0 and spread 1 on them, from then on
    (as in arXiv:1909.08593, sec. 2). 0 = off."""
    penalty: float = Field(10.0, ge=0.0)
    """constrained: taken from the sum for each unit below a threshold."""


class RewardKL(Section):
    """Distance from the reference, taken from the reward of every token: coefficient · estimate of log π/π_ref."""

    coefficient: float = Field(0.05, ge=0.0)
    """Larger stays nearer the reference."""
    estimator: Literal["k1", "k2", "k3"] = "k1"
    """k1 = log π/π_ref, without bias in value and gradient (docs/kl.md); k2 = its square / 2; k3 = π_ref/π − 1 + k1."""
    target: float | None = Field(None, gt=0)
    """Let the coefficient follow: up where a response's KL is above this many nats, down where it is below
    (arXiv:1909.08593, eq. 3). Off by default: the coefficient is fixed."""
    horizon: float = Field(10000, gt=0)
    """Responses in which the coefficient could grow e-fold at most by a fifth each; larger is slower."""


class RewardUpdates(Section):
    """Train the reward models among the rewards along with the policy, on comparisons of what it says now."""

    ask: list[Term] = []
    """Who compares: reward functions, of two responses the one with the higher sum is the better one. Equal ones teach
    nothing."""
    every: int = Field(5, ge=1)
    """Steps of the policy between two updates of the reward models."""
    comparisons: int = Field(64, ge=1)
    """Comparisons that the judge is asked for in each update: what it costs."""
    updates: int = Field(4, ge=1)
    """Optimizer steps of each reward model in each update."""
    compared_at_once: int = Field(32, ge=1)
    """Comparisons in each of these steps."""
    rate: float = Field(5e-6, gt=0)
    """Constant learning rate of the reward models."""
    replay: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of each batch that is older comparisons: more forgets less, and follows the policy more slowly."""
    remember: int = Field(2000, ge=0)
    """How many comparisons are kept for that, the newest."""
    known: str | None = None
    """File of comparisons to begin with, commonly those that the reward models were trained on. By default none: then
    the first replays are of the policy's own samples too."""
    centre: float = Field(0.01, ge=0.0)
    """As of the objective bradley_terry: keeps scores around 0, so that a reward keeps its meaning."""


class CriticSettings(Section):
    """The value model, present where an objective reads `values`."""

    path: str | None = None
    """Folder of a model whose copy says the values with a backbone of its own: a reward model (whose score is then the
    first value, arXiv:2009.01325, sec. 3.4) or a language model. By default a head on the policy: nearly free."""
    lr_multiplier: float = Field(1.0, gt=0)
    """The learning rate of the value head or model, as a multiple of update.learning_rate."""


class UpdateSettings(Section):
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
    1,024 on a CPU, where small micro-batches cost no time (docs/performance.md), and 8,192 elsewhere."""
    autocast: bool = False
    """bfloat16 products with float32 weights."""


class RecordSettings(Section):
    evaluate_every: int = Field(0, ge=0)
    """Evaluate on held-out groups every so many steps; 0 = at the end only."""
    save_every: int = Field(100, ge=0)
    """Write a checkpoint every so many steps; 0 = at the end only."""
    keep: int = Field(2, ge=1)
    """How many checkpoints are kept."""
    sample_every: int = Field(10, ge=0)
    """Write sample texts every so many steps; 0 = never."""


class MonitorSettings(Section):
    """The conditions that are watched for (docs/monitor.md)."""

    actions: dict[str, Literal["log", "warn", "stop", "rollback"]] = {}
    """What to do where a condition holds, by its name: log it, warn, stop the run, or go back to the last checkpoint
    from before it and on with half the learning rate. Each has a default."""
    ignore: list[str] = []
    """Conditions that are not watched for."""
    limits: dict[str, dict[str, float]] = {}
    """Other limits, by condition and by name: {kl_drift: {nats: 200}}."""
    judge: list[Term] = []
    """Rewards that are only observed: they score the samples of every evaluation, before the first step too, and are
    never trained on. Logged as eval/judge (online)."""
    repeat: int = Field(50, ge=1)
    """A condition that goes on is told again after so many steps; sooner if it becomes worse by half."""
    rollbacks: int = Field(2, ge=0)
    """How often a run may go back; after that it stops."""

"""A trained reward model as a reward: texts in, z-scores out.

    rewards:
      - model: {path: runs/reward/model}

The folder is a standard `AutoModelForSequenceClassification` of a decoder, by Truing or by others; `truing.json` in it
may hold the mean and spread of its scores on reference samples.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.errors import ModelError, RecipeError
from truing.group import Group, Message, Prompt, Response
from truing.registry import reward
from truing.rewards.aspects import Aspect, aspects_of, weights_of

if TYPE_CHECKING:  # torch is loaded with the first model, not with the list of rewards
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from truing.models.policy import Policy
    from truing.tree import Branch, Tree

__all__ = ["Messages", "RewardModel", "as_prompt", "as_response", "check_tokens", "reopen", "split_tree"]

Messages = Sequence[Mapping[str, str]]


class RewardModel:
    """The score of a reward model at the last token of each response, as (score - mean) / std; of one that scores every
    token (`token_reward`) the mean or sum over the response, as it was trained.

    Of one with a head for each aspect (`reward_aspects`) it is Σ w·z / Σ |w| over the aspects, z each normalised so:
    `weights` names the ones that count, {helpfulness: 1, verbosity: -0.5}; by default all alike.

    `path` is a folder or hub name. With `normalise` off, or where nothing is known of the scores' mean and spread, it
    is the plain score. Prompts that repeat are run once for all their responses; `tokens_per_batch` bounds memory and
    changes no result. Texts go through the chat template in the folder, whoever sampled them.
    """

    # Read by the registry: the types of the settings.
    path: str
    normalise: bool
    weights: dict[str, float] | None
    dtype: Literal["float32", "bfloat16", "auto"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        path: str,
        normalise: bool = True,
        weights: dict[str, float] | None = None,
        dtype: Literal["float32", "bfloat16", "auto"] = "float32",
        tokens_per_batch: int = 8192,
    ) -> None:
        from truing.models.heads import load_reward_model
        from truing.models.loading import best_device, load_tokenizer, locate
        from truing.models.saving import METADATA, read_metadata

        folder = locate(path)
        metadata = read_metadata(folder)
        reading = _reading(metadata, folder / METADATA)
        mean, std = _normalisation(metadata, folder / METADATA) if normalise else (0.0, 1.0)
        model = load_reward_model(path, dtype=dtype, several=True)
        aspects = aspects_of(model, metadata, folder / METADATA)
        if weights is not None and not aspects:
            raise RecipeError(
                "this reward model has a single head, so there are no aspects to weigh",
                where=f"reward `model`, setting `weights`, for {path}",
                remedy="Leave `weights` out; how much a reward counts among others is its `weight`.",
            )
        model.to(best_device())  # type: ignore[arg-type]
        self._set(model, load_tokenizer(path), mean, std, tokens_per_batch, reading, aspects, weights, normalise)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        mean: float = 0.0,
        std: float = 1.0,
        tokens_per_batch: int = 8192,
        reading: Literal["last", "mean", "sum"] = "last",
        aspects: Mapping[str, Aspect] | None = None,
        weights: Mapping[str, float] | None = None,
        normalise: bool = True,
    ) -> RewardModel:
        """A reward model that is in memory; `aspects` names its heads in order, where it has several."""
        made = cls.__new__(cls)
        made._set(model, tokenizer, mean, std, tokens_per_batch, reading, aspects or {}, weights, normalise)
        return made

    def _set(
        self,
        model: Any,
        tokenizer: Any,
        mean: float,
        std: float,
        tokens_per_batch: int,
        reading: Literal["last", "mean", "sum"],
        aspects: Mapping[str, Aspect],
        weights: Mapping[str, float] | None,
        normalise: bool,
    ) -> None:
        from truing.chat import Chat
        from truing.models.policy import Policy

        self.model, self.tokenizer = model, tokenizer
        self.mean, self.std, self.tokens_per_batch, self.reading = mean, std, tokens_per_batch, reading
        self.aspects, self._weights, self._normalise = dict(aspects), weights_of(aspects, weights), normalise
        self._policy, self._chat = Policy(model), Chat(tokenizer)

    def __call__(
        self,
        prompts: Sequence[str | Messages],
        completions: Sequence[str | Messages],
        *,
        messages: Sequence[Messages] | None = None,
        finished: Sequence[bool] | None = None,
        **columns: Any,
    ) -> list[float]:
        """One reward per completion. `messages`, where given, are the prompts' turns; a completion that is not
        `finished` is read without an end of turn."""
        said = prompts if messages is None else messages
        pairs = [(as_prompt(p), as_response(c)) for p, c in zip(said, completions, strict=True)]
        ended = finished or [True] * len(pairs)
        rows: dict[Prompt, list[int]] = {}
        for i, (prompt, _) in enumerate(pairs):
            rows.setdefault(prompt, []).append(i)
        groups = [Group(prompt, tuple(pairs[i][1] for i in indices)) for prompt, indices in rows.items()]
        scores = self.score_groups(groups, [[ended[i] for i in indices] for indices in rows.values()])
        out = [math.nan] * len(pairs)
        for indices, row in zip(rows.values(), scores, strict=True):
            for i, value in zip(indices, row, strict=True):
                out[i] = value
        return out

    def score_groups(
        self, groups: Sequence[Group], finished: Sequence[Sequence[bool]] | None = None
    ) -> list[list[float]]:
        """A list per group, a reward per response."""
        return self._score(self.trees(groups, finished))

    @property
    def policy(self) -> Policy:
        """Who runs the model."""
        return self._policy

    def trees(self, groups: Sequence[Group], finished: Sequence[Sequence[bool]] | None = None) -> list[Tree]:
        """Groups in this model's tokens, as it reads them; a response that is not `finished` without an end of turn."""
        trees = []
        for number, group in enumerate(groups):
            tree = self._chat.group(group)
            assert tree is not None, "no truncation was asked for"
            for branch, ended in zip(tree.branches, finished[number] if finished else (), strict=finished is not None):
                if not ended:
                    reopen(branch, self._chat.end_ids)
            trees.append(tree)
        return trees

    def score_tokens(self, prompts: Sequence[list[int]], responses: Sequence[list[int]]) -> list[float]:
        """One reward per response. The tokens have to be this model's own: those of another tokenizer mean nothing."""
        from truing.tree import Branch, Tree

        rows: dict[tuple[int, ...], list[int]] = {}
        for i, prompt in enumerate(prompts):
            rows.setdefault(tuple(prompt), []).append(i)
        assert len(prompts) == len(responses), (len(prompts), len(responses))
        trees = [
            Tree(list(prompt), [Branch(list(responses[i]), [True] * len(responses[i])) for i in indices])
            for prompt, indices in rows.items()
        ]
        out = [math.nan] * len(responses)
        for indices, row in zip(rows.values(), self._score(trees), strict=True):
            for i, value in zip(indices, row, strict=True):
                out[i] = value
        return out

    def calibrated(self, groups: Sequence[Group]) -> RewardModel:
        """The same model, its rewards with mean 0 and standard deviation 1 over these reference samples.

        Learning to summarize (arXiv:2009.01325, sec. 3.4) sets the mean of its reward model to 0 in this way; a spread
        of 1 gives a KL weight the same meaning for every reward model.
        """
        plain = self._scaled(0.0, 1.0)
        scores = [value for row in plain.score_groups(groups) for value in row]
        spread = statistics.pstdev(scores) if scores else 0.0
        if spread < 1e-6:
            raise ModelError(
                f"its scores on {len(scores)} reference samples do not differ, so they cannot be normalised",
                where=self.model.name_or_path or "reward model",
                remedy="Give more samples; a reward model that gives everything the same score has not learned.",
            )
        mean = statistics.fmean(scores)
        return self._scaled(mean, spread)

    def _scaled(self, mean: float, std: float) -> RewardModel:
        return RewardModel.of(
            self.model,
            self.tokenizer,
            mean=mean,
            std=std,
            tokens_per_batch=self.tokens_per_batch,
            reading=self.reading,
            aspects=self.aspects,
            weights=self._weights if self.aspects else None,
            normalise=self._normalise,
        )

    def save(self, folder: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """A standard folder, the normalisation in its `truing.json`."""
        from truing.models.saving import save_model

        about: dict[str, Any] = {"reading": self.reading, "mean": self.mean, "std": self.std}
        if self.aspects:
            known = {name: asdict(aspect) for name, aspect in self.aspects.items()}
            about = {"reading": "aspects", "mean": self.mean, "std": self.std, "aspects": known}
        save_model(self.model, self.tokenizer, folder, metadata={**(metadata or {}), "reward": about})

    def ratings(self, groups: Sequence[Group]) -> list[list[dict[str, float]]]:
        """For each response of each group what the head of every aspect says, in points of the data it learnt from.

        Where the folder does not say what those are, as the heads say it.
        """
        heads = self.aspects.items()
        return [
            [
                {name: value * head.score_std + head.score_mean for value, (name, head) in zip(row, heads, strict=True)}
                for row in rows
            ]
            for rows in self._heads(self.trees(groups, None))
        ]

    def _heads(self, trees: Sequence[Tree]) -> list[list[list[float]]]:
        """What each head says, by tree, branch, aspect."""
        assert self.aspects, "a model with a head for each aspect"
        check_tokens(self.model, trees)
        parts = [(i, part) for i, tree in enumerate(trees) for part in split_tree(tree, self.tokens_per_batch)]
        out: list[list[list[float]]] = [[] for _ in trees]
        scored = self._policy.score_aspects([part for _, part in parts], self.tokens_per_batch)
        for (i, _), rows in zip(parts, scored, strict=True):
            out[i] += rows
        return out

    def _weighed(self, said: Sequence[float]) -> float:
        """One number from what the heads say of a response."""
        scales = self.aspects.values() if self._normalise else [Aspect()] * len(self.aspects)
        total = math.fsum(
            weight * (value - scale.mean) / scale.std
            for value, scale, weight in zip(said, scales, self._weights.values(), strict=True)
        )
        return total / math.fsum(map(abs, self._weights.values()))

    def _score(self, trees: Sequence[Tree]) -> list[list[float]]:
        if self.aspects:
            rows = [[self._weighed(said) for said in row] for row in self._heads(trees)]
            return [[(value - self.mean) / self.std for value in row] for row in rows]
        check_tokens(self.model, trees)
        parts = [(i, part) for i, tree in enumerate(trees) for part in split_tree(tree, self.tokens_per_batch)]
        out: list[list[float]] = [[] for _ in trees]
        scored = self._policy.score([part for _, part in parts], self.tokens_per_batch, self.reading)
        for (i, _), values in zip(parts, scored, strict=True):
            out[i] += [(value - self.mean) / self.std for value in values]
        return out


def reopen(branch: Branch, end: list[int]) -> None:
    """Takes the end of turn off a response that was cut."""
    if end and branch.tokens[-len(end) :] == end:
        del branch.tokens[-len(end) :], branch.mask[-len(end) :]


def check_tokens(model: Any, trees: Sequence[Tree]) -> None:
    """`ModelError` where a token is not in the model's vocabulary."""
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max((t for tree in trees for ids in _ids(tree) for t in ids), default=0)
    if highest >= rows:
        raise ModelError(
            f"token {highest} is outside its vocabulary of {rows}",
            where=model.name_or_path or "reward model",
            remedy="The tokens come from another tokenizer: score texts, not tokens.",
        )


def split_tree(tree: Tree, limit: int) -> list[Tree]:
    """A tree within the budget as far as that goes: unlike in training, its branches may part."""
    from truing.tree import Tree

    made = [Tree(tree.prompt, [])]
    for branch in tree.branches:
        if made[-1].branches and made[-1].num_tokens + len(branch.tokens) > limit:
            made.append(Tree(tree.prompt, []))
        made[-1].branches.append(branch)
    return made


def _ids(tree: Tree) -> list[list[int]]:
    return [tree.prompt, *(branch.tokens for branch in tree.branches)]


def as_prompt(said: str | Messages) -> Prompt:
    """A prompt from the text of a single user turn, or from turns."""
    return Prompt.of(said) if isinstance(said, str) else Prompt(tuple(_message(m) for m in said))


def as_response(said: str | Messages) -> Response:
    """A response from the text of a single assistant turn, or from turns."""
    return Response.of(said) if isinstance(said, str) else Response(tuple(_message(m) for m in said))


def _message(said: Mapping[str, str]) -> Message:
    return Message(said["role"], said["content"])


def _reading(metadata: Mapping[str, Any], place: Path) -> Literal["last", "mean", "sum"]:
    """How the folder's scores are meant to be read: the last token where nothing is said."""
    said = metadata.get("reward")
    reading: Any = said.get("reading", "last") if isinstance(said, dict) else "last"
    known: tuple[Literal["last", "mean", "sum"], ...] = ("last", "mean", "sum")
    for each in known:
        if reading == each:
            return each
    if reading == "steps":
        raise ModelError(
            "it scores the steps of a reasoning, not whole responses",
            where=str(place),
            remedy="Use the reward `process`: {process: {path: ...}}.",
        )
    if reading == "aspects":  # each at the last token
        return "last"
    if reading == "pair":
        raise ModelError(
            "it compares two responses, and has no score for one alone",
            where=str(place),
            remedy="Use the reward `pair_preference`: {pair_preference: {path: ...}}.",
        )
    raise ModelError(
        f"`reward.reading` is {reading!r:.40}", where=str(place), remedy="last, mean, sum, steps, pair or aspects."
    )


def _normalisation(metadata: Mapping[str, Any], place: Path) -> tuple[float, float]:
    """`reward: {mean, std}` of a folder's metadata; (0, 1) where nothing is said."""
    said = metadata.get("reward", {})
    mean: Any
    std: Any
    mean, std = (said.get("mean", 0.0), said.get("std", 1.0)) if isinstance(said, dict) else (said, None)
    try:
        values = (float(mean), float(std))
    except (TypeError, ValueError, OverflowError):
        values = (math.nan, math.nan)
    if not all(math.isfinite(v) for v in values) or values[1] <= 0:
        raise ModelError(
            f"mean {mean!r:.40} and std {std!r:.40} cannot normalise rewards",
            where=str(place),
            remedy="Both are finite numbers, std above 0; without them rewards are taken as they are.",
        )
    return values


reward.register(RewardModel, "model")

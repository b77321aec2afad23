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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.errors import ModelError
from truing.group import Group, Message, Prompt, Response
from truing.registry import reward

if TYPE_CHECKING:  # torch is loaded with the first model, not with the list of rewards
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from truing.tree import Branch, Tree

__all__ = ["Messages", "RewardModel", "as_prompt", "as_response", "check_tokens", "reopen"]

Messages = Sequence[Mapping[str, str]]


class RewardModel:
    """The score of a reward model at the last token of each response, as (score - mean) / std; of one that scores every
    token (`token_reward`) the mean or sum over the response, as it was trained.

    `path` is a folder or hub name. With `normalise` off, or where nothing is known of the scores' mean and spread, it
    is the plain score. Prompts that repeat are run once for all their responses; `tokens_per_batch` bounds memory and
    changes no result. Texts go through the chat template in the folder, whoever sampled them.
    """

    # Read by the registry: the types of the settings.
    path: str
    normalise: bool
    dtype: Literal["float32", "bfloat16", "auto"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        path: str,
        normalise: bool = True,
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
        model = load_reward_model(path, dtype=dtype)
        model.to(best_device())  # type: ignore[arg-type]
        self._set(model, load_tokenizer(path), mean, std, tokens_per_batch, reading)

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
    ) -> RewardModel:
        """A reward model that is in memory."""
        made = cls.__new__(cls)
        made._set(model, tokenizer, mean, std, tokens_per_batch, reading)
        return made

    def _set(
        self,
        model: Any,
        tokenizer: Any,
        mean: float,
        std: float,
        tokens_per_batch: int,
        reading: Literal["last", "mean", "sum"],
    ) -> None:
        from truing.chat import Chat
        from truing.models.policy import Policy

        self.model, self.tokenizer = model, tokenizer
        self.mean, self.std, self.tokens_per_batch, self.reading = mean, std, tokens_per_batch, reading
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
        trees = []
        for number, group in enumerate(groups):
            tree = self._chat.group(group)
            assert tree is not None, "no truncation was asked for"
            for branch, ended in zip(tree.branches, finished[number] if finished else (), strict=finished is not None):
                if not ended:
                    reopen(branch, self._chat.end_ids)
            trees.append(tree)
        return self._score(trees)

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
        )

    def save(self, folder: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """A standard folder, the normalisation in its `truing.json`."""
        from truing.models.saving import save_model

        about = {**(metadata or {}), "reward": {"reading": self.reading, "mean": self.mean, "std": self.std}}
        save_model(self.model, self.tokenizer, folder, metadata=about)

    def _score(self, trees: Sequence[Tree]) -> list[list[float]]:
        check_tokens(self.model, trees)
        parts = [(i, part) for i, tree in enumerate(trees) for part in _split(tree, self.tokens_per_batch)]
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


def _split(tree: Tree, limit: int) -> list[Tree]:
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
    raise ModelError(f"`reward.reading` is {reading!r:.40}", where=str(place), remedy="last, mean, sum or steps.")


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

"""A trained model of pair preferences: the probability that one answer is preferred to another, and as a reward how
often an answer beats the others of its group.

rewards:
  - pair_preference: {path: runs/preference/model}
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.errors import ModelError, RecipeError
from truing.group import Group, Prompt, Response
from truing.registry import reward
from truing.rewards.model import Messages, as_prompt, as_response, check_tokens, reopen, split_tree

if TYPE_CHECKING:  # torch is loaded with the first model, not with the list of rewards
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from truing.tree import Branch, Tree

__all__ = ["PairPreference", "compares_pairs"]


class PairPreference:
    """Mean probability that a response is preferred to each of the others of its group, by the preference model in the
    folder `path`: between 0 and 1, 0.5 on average.

    It needs groups of two or more. A group of K takes K·(K − 1) readings of two responses; `tokens_per_batch` bounds
    memory and changes no result.
    """

    # Read by the registry: the types of the settings.
    path: str
    dtype: Literal["float32", "bfloat16", "auto"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        path: str,
        dtype: Literal["float32", "bfloat16", "auto"] = "float32",
        tokens_per_batch: int = 8192,
    ) -> None:
        from truing.models.heads import load_reward_model
        from truing.models.loading import best_device, load_tokenizer, locate
        from truing.models.saving import METADATA

        if not compares_pairs(path):
            raise ModelError(
                "nothing in it says that it compares two responses",
                where=str(locate(path) / METADATA),
                remedy="Train such a model with `truing train pair_preference`; one that scores is the reward `model`.",
            )
        model = load_reward_model(path, dtype=dtype)
        model.to(best_device())  # type: ignore[arg-type]
        self._set(model, load_tokenizer(path), tokens_per_batch)

    @classmethod
    def of(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, tokens_per_batch: int = 8192
    ) -> PairPreference:
        """A preference model that is in memory."""
        made = cls.__new__(cls)
        made._set(model, tokenizer, tokens_per_batch)
        return made

    def _set(self, model: Any, tokenizer: Any, tokens_per_batch: int) -> None:
        from truing.chat import Chat
        from truing.models.policy import Policy

        self.model, self.tokens_per_batch = model, tokens_per_batch
        self._policy, self._chat = Policy(model), Chat(tokenizer)

    def __call__(
        self,
        prompts: Sequence[str | Messages],
        completions: Sequence[str | Messages],
        *,
        messages: Sequence[Messages] | None = None,
        finished: Sequence[bool] | None = None,
        rivals: Sequence[bool] | None = None,
        **columns: Any,
    ) -> list[float]:
        """One reward per completion, among the completions of the same prompt. `messages`, where given, are the
        prompts' turns; a completion that is not `finished` is read as one that was cut. Where a prompt has completions
        of `rivals`, they and the others are compared with the other side only.

        `RecipeError` for a completion that has no other to be compared with.
        """
        asked = [as_prompt(p) for p in (prompts if messages is None else messages)]
        answered = [as_response(c) for c in completions]
        groups: dict[Prompt, list[int]] = {}
        for i, prompt in enumerate(asked):
            groups.setdefault(prompt, []).append(i)
        side = list(rivals) if rivals is not None else [False] * len(asked)
        pairs = [
            (i, j)
            for rows in groups.values()
            for a, i in enumerate(rows)
            for j in rows[a + 1 :]
            if side[i] != side[j] or not any(side[row] for row in rows)
        ]
        sums = [0.0] * len(asked)
        found = self._logits(asked, answered, pairs, finished or [True] * len(asked))
        for (i, j), logit in zip(pairs, found, strict=True):
            sums[i] += _sigmoid(logit)
            sums[j] += _sigmoid(-logit)
        others = Counter(i for pair in pairs for i in pair)
        if len(others) < len(asked):
            raise RecipeError(
                "a prompt has a single response, and this reward compares responses with one another",
                where="reward `pair_preference`",
                remedy="Use rollouts.group_size >= 2.",
            )
        return [total / others[i] for i, total in enumerate(sums)]

    def probabilities(
        self,
        prompts: Sequence[str | Messages | Prompt],
        firsts: Sequence[str | Messages | Response],
        seconds: Sequence[str | Messages | Response],
    ) -> list[float]:
        """For each prompt the probability that its first answer is preferred to its second, the mean of both orders'
        log-odds: asked the other way round it is 1 minus that."""
        return [_sigmoid(logit) for logit in self.logits(prompts, firsts, seconds)]

    def logits(
        self,
        prompts: Sequence[str | Messages | Prompt],
        firsts: Sequence[str | Messages | Response],
        seconds: Sequence[str | Messages | Response],
    ) -> list[float]:
        """The log-odds of `probabilities`."""
        assert len(prompts) == len(firsts) == len(seconds), (len(prompts), len(firsts), len(seconds))
        asked = [p if isinstance(p, Prompt) else as_prompt(p) for p in prompts for _ in range(2)]
        answers = [a for two in zip(firsts, seconds, strict=True) for a in two]
        answered = [a if isinstance(a, Response) else as_response(a) for a in answers]
        pairs = [(2 * i, 2 * i + 1) for i in range(len(prompts))]
        return self._logits(asked, answered, pairs, [True] * len(asked))

    def _logits(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        pairs: Sequence[tuple[int, int]],
        finished: Sequence[bool],
    ) -> list[float]:
        """(s(A, B) − s(B, A)) / 2 for each pair of rows (A, B), which share their prompt: it is run once for all."""
        from truing.experience.pairwise import in_order
        from truing.tree import Tree

        trees: dict[Prompt, Tree] = {}
        branches = [self._branch(*row) for row in zip(prompts, responses, finished, strict=True)]
        for i, j in pairs:
            prompt = prompts[i]
            tokens, one = branches[i]
            tree = trees.setdefault(prompt, Tree(tokens, []))
            other = branches[j][1]
            tree.branches += [in_order(self._chat, prompt, one, other), in_order(self._chat, prompt, other, one)]
        scores = {prompt: iter(row) for prompt, row in zip(trees, self._score(list(trees.values())), strict=True)}
        return [(next(scores[prompts[i]]) - next(scores[prompts[i]])) / 2 for i, _ in pairs]

    def _branch(self, prompt: Prompt, response: Response, finished: bool) -> tuple[list[int], Branch]:
        from truing.experience.pairwise import told

        tree = self._chat.group(Group(prompt, (told(response),)))
        assert tree is not None, "no truncation was asked for"
        (branch,) = tree.branches
        if not finished:
            reopen(branch, self._chat.end_ids)
            branch.finished = False
        return tree.prompt, branch

    def _score(self, trees: Sequence[Tree]) -> list[list[float]]:
        check_tokens(self.model, trees)
        parts = [(i, part) for i, tree in enumerate(trees) for part in split_tree(tree, self.tokens_per_batch)]
        out: list[list[float]] = [[] for _ in trees]
        scored = self._policy.score([part for _, part in parts], self.tokens_per_batch)
        for (i, _), values in zip(parts, scored, strict=True):
            out[i] += values
        return out


def compares_pairs(source: str | Path) -> bool:
    """Whether the model in a folder or on the hub says that it compares two responses."""
    from truing.models.loading import locate
    from truing.models.saving import read_metadata

    said = read_metadata(locate(source)).get("reward")
    return isinstance(said, dict) and said.get("reading") == "pair"


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))


reward.register(PairPreference, "pair_preference")

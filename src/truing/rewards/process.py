"""A trained process reward model as a reward: the probability of every step, and one number of them.

rewards:
  - process: {path: runs/process, score: product}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from truing.errors import DataError, ModelError
from truing.group import Group, Prompt, Response
from truing.registry import reward
from truing.rewards.model import Messages, as_prompt, check_tokens

if TYPE_CHECKING:  # torch is loaded with the first model, not with the list of rewards
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from truing.tree import Tree

__all__ = ["ProcessReward", "credits_of", "steps_of", "summary"]

Score = Literal["product", "min", "last"]


def steps_of(text: str, separator: str = "\n") -> tuple[str, ...]:
    """A text cut into steps; blank ones are none."""
    return tuple(step for step in text.split(separator) if step.strip())


def summary(probabilities: Sequence[float], score: Score) -> float:
    """One number from the probabilities of a solution's steps: their `product` (Let's Verify Step by Step,
    arXiv:2305.20050, sec. 2.6), their `min` (Math-Shepherd, arXiv:2312.08935, sec. 3.4) or the `last`.

    Of no step at all it is 0: a product of nothing would reward saying nothing.
    """
    if not probabilities:
        return 0.0
    match score:
        case "product":
            return math.prod(probabilities)
        case "min":
            return min(probabilities)
        case "last":
            return probabilities[-1]


def credits_of(probabilities: Sequence[float], score: Score) -> list[float]:
    """What each step has changed: summary(steps up to it) − summary(steps before it), the first from 0.

    They add up to the summary of all: a way of handing out the same reward earlier, so that what is best stays best
    (potential-based shaping, Ng, Harada and Russell 1999). The bare probabilities would pay for more steps.
    """
    sums = [0.0, *(summary(probabilities[: i + 1], score) for i in range(len(probabilities)))]
    return [after - before for before, after in pairwise(sums)]


def token_ends(decode: Callable[[list[int]], str], tokens: Sequence[int], text: str, steps: Sequence[str]) -> list[int]:
    """For each step, the index of the first token with which `text` holds all of it.

    `DataError` where `decode` does not make `text` of the tokens: they are of another tokenizer.
    """
    held = [len(decode(list(tokens[: i + 1]))) for i in range(len(tokens))]
    if decode(list(tokens)) != text:
        raise DataError(
            f"its tokenizer reads the response's tokens as {decode(list(tokens))[:40]!r}, and it says {text[:40]!r}",
            where="reward `process`, setting `dense`",
            remedy="Tokens are credited in the policy's own tokens: use a process reward model with its tokenizer.",
        )
    ends, start = [], 0
    for step in steps:
        start = text.index(step, start) + len(step.rstrip())
        ends.append(next(i for i, size in enumerate(held) if size >= start))
    return ends


class ProcessReward:
    """Step by step, the probability that it is right by the reward model in the folder `path`; `score` makes one number
    of them: `product`, `min` or `last`, 0 for a response without a step. `dense` hands that number out step by step,
    at the token that ends each (`credits_of`): advantages that look at tokens (`gae`, `reinforce_pp`) then know which
    step it was.

    Steps stand between `separator`s, which should be what stood between them in training. Long solutions have smaller
    products. `tokens_per_batch` bounds memory and changes no result.
    """

    # Read by the registry: the types of the settings.
    path: str
    score: Score
    separator: str
    dense: bool
    dtype: Literal["float32", "bfloat16", "auto"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        path: str,
        score: Score = "product",
        separator: str = "\n",
        dense: bool = False,
        dtype: Literal["float32", "bfloat16", "auto"] = "float32",
        tokens_per_batch: int = 8192,
    ) -> None:
        from truing.models.heads import load_reward_model
        from truing.models.loading import best_device, load_tokenizer, locate
        from truing.models.saving import METADATA, read_metadata

        folder = locate(path)
        about = read_metadata(folder).get("reward")
        if isinstance(about, dict) and about.get("reading", "last") != "steps":
            raise ModelError(
                "it scores whole responses, not the steps of a reasoning",
                where=str(folder / METADATA),
                remedy="Use the reward `model`, or train one of steps: truing train process_reward.",
            )
        model = load_reward_model(path, dtype=dtype)
        model.to(best_device())  # type: ignore[arg-type]
        self._set(model, load_tokenizer(path), score, separator, tokens_per_batch, dense=dense)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        score: Score = "product",
        separator: str = "\n",
        dense: bool = False,
        tokens_per_batch: int = 8192,
    ) -> ProcessReward:
        """A process reward model that is in memory."""
        made = cls.__new__(cls)
        made._set(model, tokenizer, score, separator, tokens_per_batch, dense=dense)
        return made

    def _set(
        self, model: Any, tokenizer: Any, score: Score, separator: str, tokens_per_batch: int, *, dense: bool
    ) -> None:
        from truing.chat import Chat
        from truing.models.policy import Policy

        self.model, self.score, self.separator, self.tokens_per_batch = model, score, separator, tokens_per_batch
        self.dense = dense
        self._policy, self._chat = Policy(model), Chat(tokenizer)

    def __call__(
        self,
        prompts: Sequence[str | Messages],
        completions: Sequence[str],
        *,
        messages: Sequence[Messages] | None = None,
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float] | list[list[float]]:
        """One reward per completion, or with `dense` one for each of its `completion_ids`. `messages`, where given, are
        the prompts' turns."""
        said = prompts if messages is None else messages
        asked = [as_prompt(p) for p in said]
        answered = [Response(Response.of(text).messages, steps_of(text, self.separator)) for text in completions]
        rows = self.probabilities(asked, answered)
        if not self.dense:
            return [summary(row, self.score) for row in rows]
        assert completion_ids is not None, "samples come with their tokens"
        given = []
        for row, response, text, tokens in zip(rows, answered, completions, completion_ids, strict=True):
            credit = [0.0] * len(tokens)
            ends = token_ends(self._chat.decode, tokens, text, response.steps)
            for end, change in zip(ends, credits_of(row, self.score), strict=True):
                credit[end] += change
            given.append(credit)
        return given

    def probabilities(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> list[list[float]]:
        """For each response, the probability that each of its `steps` is right."""
        trees: list[Tree] = []
        ends: list[list[int]] = []
        for prompt, response in zip(prompts, responses, strict=True):
            trees.append(self._tree(prompt, response))
            found = self._chat.step_ends(prompt, response) if response.steps else []
            ends.append([end for end in found if end is not None])
            assert len(ends[-1]) == len(response.steps), "no truncation was asked for"
        check_tokens(self.model, trees)
        rows = self._policy.score_tokens(trees, self.tokens_per_batch)
        return [
            [1 / (1 + math.exp(-max(-500.0, row[0][end]))) for end in places]
            for row, places in zip(rows, ends, strict=True)
        ]

    def _tree(self, prompt: Prompt, response: Response) -> Tree:
        tree = self._chat.group(Group(prompt, (response,)))
        assert tree is not None, "no truncation was asked for"
        return tree


reward.register(ProcessReward, "process")

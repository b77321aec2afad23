"""A trained process reward model as a reward: the probability of every step, and one number of them.

rewards:
  - process: {path: runs/process, score: product}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from truing.errors import ModelError
from truing.group import Group, Prompt, Response
from truing.registry import reward
from truing.rewards.model import Messages, as_prompt, check_tokens

if TYPE_CHECKING:  # torch is loaded with the first model, not with the list of rewards
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from truing.tree import Tree

__all__ = ["ProcessReward", "steps_of", "summary"]

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


class ProcessReward:
    """Step by step, the probability that it is right by the reward model in the folder `path`; `score` makes one number
    of them: `product`, `min` or `last`, 0 for a response without a step.

    Steps stand between `separator`s, which should be what stood between them in training. Long solutions have smaller
    products. `tokens_per_batch` bounds memory and changes no result.
    """

    # Read by the registry: the types of the settings.
    path: str
    score: Score
    separator: str
    dtype: Literal["float32", "bfloat16", "auto"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        path: str,
        score: Score = "product",
        separator: str = "\n",
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
        self._set(model, load_tokenizer(path), score, separator, tokens_per_batch)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        score: Score = "product",
        separator: str = "\n",
        tokens_per_batch: int = 8192,
    ) -> ProcessReward:
        """A process reward model that is in memory."""
        made = cls.__new__(cls)
        made._set(model, tokenizer, score, separator, tokens_per_batch)
        return made

    def _set(self, model: Any, tokenizer: Any, score: Score, separator: str, tokens_per_batch: int) -> None:
        from truing.chat import Chat
        from truing.models.policy import Policy

        self.model, self.score, self.separator, self.tokens_per_batch = model, score, separator, tokens_per_batch
        self._policy, self._chat = Policy(model), Chat(tokenizer)

    def __call__(
        self,
        prompts: Sequence[str | Messages],
        completions: Sequence[str],
        *,
        messages: Sequence[Messages] | None = None,
        **columns: Any,
    ) -> list[float]:
        """One reward per completion. `messages`, where given, are the prompts' turns."""
        said = prompts if messages is None else messages
        asked = [as_prompt(p) for p in said]
        answered = [Response(Response.of(text).messages, steps_of(text, self.separator)) for text in completions]
        return [summary(row, self.score) for row in self.probabilities(asked, answered)]

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

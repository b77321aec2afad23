"""The reward that a policy trained with DPO has learnt without saying so.

rewards:
  - implicit: {path: runs/dpo/model, reference: runs/sft/model, beta: 0.1}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from truing.group import Group
from truing.registry import reward
from truing.rewards.model import Messages, as_prompt, as_response, check_tokens, reopen

if TYPE_CHECKING:  # torch is loaded with the first model, not with the list of rewards
    from truing.tree import Tree

__all__ = ["ImplicitReward"]


class ImplicitReward:
    """β · Σ (log π − log π_ref) over the tokens of a response: the reward for which the policy `path` is optimal at KL
    weight `beta` from `reference`, up to a constant for each prompt (DPO, arXiv:2305.18290, eq. 5).

    Comparable within a prompt only. `beta` is the one the policy was trained with; it changes the scale alone. Both
    have to share a tokenizer: the policy's is used.
    """

    # Read by the registry: the types of the settings.
    path: str
    reference: str
    beta: float
    dtype: Literal["float32", "bfloat16"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        path: str,
        reference: str,
        beta: float = 0.1,
        dtype: Literal["float32", "bfloat16"] = "float32",
        tokens_per_batch: int = 8192,
    ) -> None:
        from truing.chat import Chat
        from truing.models import adapters
        from truing.models.loading import best_device, load_causal_lm, load_tokenizer
        from truing.models.policy import Policy

        device = best_device()
        model: Any = load_causal_lm(path, dtype=dtype)
        other: Any = load_causal_lm(reference, dtype=dtype)
        self.model, self._other = model.to(device), other.to(device)
        self.beta, self.tokens_per_batch = beta, tokens_per_batch
        self._policy = Policy(self.model, reference=adapters.reference(self.model, self._other))
        self._chat = Chat(load_tokenizer(path))

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
        trees = []
        for i, (prompt, completion) in enumerate(zip(said, completions, strict=True)):
            tree = self._chat.group(Group(as_prompt(prompt), (as_response(completion),)))
            assert tree is not None, "no truncation was asked for"
            if finished is not None and not finished[i]:
                reopen(tree.branches[0], self._chat.end_ids)
            trees.append(tree)
        return self._score(trees)

    def _score(self, trees: Sequence[Tree]) -> list[float]:
        import torch

        from truing.tree import budgeted, pack

        for model in (self.model, self._other):
            check_tokens(model, trees)
        out = [0.0] * len(trees)
        with torch.no_grad():
            for indices in budgeted(trees, self.tokens_per_batch):
                packed = pack([trees[i] for i in indices]).to(self._policy.device)
                streams = self._policy.streams(packed, {"logprobs", "ref_logprobs"}, {})
                ratios = (streams["logprobs"] - streams["ref_logprobs"]).masked_fill(~packed.mask, 0.0).sum(1)
                for i, value in zip(indices, ratios.tolist(), strict=True):
                    out[i] = self.beta * value
        return out


reward.register(ImplicitReward, "implicit")

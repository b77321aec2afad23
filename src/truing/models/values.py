"""Who says how good a state is: a head on the policy, or a model with a backbone of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from truing.errors import ModelError
from truing.models.forward import Runner, unwrap
from truing.models.heads import ValueHead, load_reward_model, score_head, value_head
from truing.models.loading import Dtype, load_causal_lm, locate, read_object
from truing.models.saving import read_metadata
from truing.tree import Packed

__all__ = ["ValueModel", "load_value_model"]


class ValueModel(nn.Module):
    """A decoder and a value head that read the state before each trained token: packed trees -> [N], float32."""

    def __init__(self, model: Any, head: ValueHead, *, checkpointing: bool = False) -> None:
        super().__init__()
        self.model, self.head = model, head
        self._runner = Runner(model, checkpointing=checkpointing)

    def forward(self, packed: Packed) -> Tensor:
        values: Tensor = self.head(self._runner(packed)[packed.predictors])
        return values


def load_value_model(source: str, *, dtype: Dtype, vocabulary: int, checkpointing: bool = False) -> ValueModel:
    """A value model from a folder.

    From a reward model, its score (as mean 0 and spread 1, if the folder knows them) is the first value
    (arXiv:2009.01325, sec. 3.4); a language model begins at 0 everywhere. `ModelError` for one of another vocabulary
    than the policy's `vocabulary` tokens.
    """
    folder = locate(source)
    names = read_object(folder / "config.json").get("architectures") or [""]
    if str(names[0]).endswith("ForSequenceClassification"):
        model: Any = load_reward_model(source, dtype=dtype)
        head = value_head(model)
        score: Any = score_head(model)
        about = read_metadata(folder).get("reward", {})
        mean, spread = float(about.get("mean", 0.0)), float(about.get("std", 1.0))
        with torch.no_grad():
            head.linear.weight.copy_(score.weight.float() / spread)
            head.linear.bias.fill_(-mean / spread)
            if score.bias is not None:
                head.linear.bias.add_(score.bias.float() / spread)
    else:
        model = load_causal_lm(source, dtype=dtype)
        head, score = value_head(model), model.get_output_embeddings()
    # The head that the model came with is not run: it must not be trained, decayed or saved.
    score.requires_grad_(False)
    size = unwrap(model).get_input_embeddings().weight.shape[0]
    if size != vocabulary:
        raise ModelError(
            f"it knows {size} tokens and the policy {vocabulary}: they do not read the same text",
            where=source,
            remedy="Take a reward model that was trained from the policy's own base, or leave critic.path out.",
        )
    model.get_input_embeddings().requires_grad_(True)  # where it is tied to that head
    return ValueModel(model, head, checkpointing=checkpointing)

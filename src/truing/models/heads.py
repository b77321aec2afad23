"""Heads that say a number: the reward of a response, the value of a state.

A reward model is a standard `AutoModelForSequenceClassification` with one label, or one for each aspect: a decoder and
a linear `score`, read at the last token of the response. A value head is read before each token.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from truing.errors import ModelError
from truing.models.adapters import load_adapter, merged
from truing.models.forward import unwrap
from truing.models.loading import Dtype, base_of_adapter, locate, read_model, read_object
from truing.models.saving import read_metadata

__all__ = ["ValueHead", "load_reward_model", "reward_model_from", "score_head", "value_head"]


def reward_model_from(model: nn.Module, *, seed: int = 0, labels: Sequence[str] = ("reward",)) -> PreTrainedModel:
    """A reward model on a copy of a causal language model's decoder, from the weights in memory (adapters merged).

    `labels` names its heads: one, or one for each aspect.
    The score layer has no bias and starts as N(0, 1 / (hidden + 1)), as in Learning to summarize (arXiv:2009.01325,
    app. B.1), so that the first rewards are of order 1 and not 0. `ModelError` for architectures without
    sequence classification in transformers (Cohere and Granite among them).
    """
    causal = merged(model)
    kind = type(causal.config)
    if kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise _unsupported(causal)
    decoder: Any = copy.deepcopy(causal.base_model) if causal is model else causal.base_model
    config = decoder.config  # one object for the decoder and the whole, as transformers has it
    _name_labels(config, labels)
    build: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[kind]
    with torch.device("meta"):  # only the frame: its weights are about to be replaced
        reward = build(config)
    frame = getattr(reward, "score", None)
    body: Any = getattr(reward, build.base_model_prefix, None)
    if not isinstance(frame, nn.Linear) or type(body) is not type(decoder):
        raise _unsupported(causal)
    first = decoder.get_input_embeddings().weight
    score = nn.Linear(frame.in_features, len(labels), frame.bias is not None, device=first.device, dtype=first.dtype)
    drawn = torch.randn(score.weight.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        score.weight.copy_(drawn / (score.in_features + 1) ** 0.5)
        if score.bias is not None:
            score.bias.zero_()
    setattr(reward, build.base_model_prefix, decoder)
    reward.score = score
    reward.name_or_path = causal.name_or_path
    assert isinstance(reward, PreTrainedModel)
    assert not any(t.is_meta for t in (*reward.parameters(), *reward.buffers()))
    reward.train(model.training)
    return reward


def _unsupported(causal: PreTrainedModel) -> ModelError:
    return ModelError(
        f"transformers has no sequence classification for `{causal.config.model_type}`, and a reward model is one",
        where=causal.name_or_path or type(causal).__name__,
        remedy="Start the reward model from another architecture: Llama, Qwen, Mistral, Gemma, GPT-2, OLMo, ...",
    )


def load_reward_model(source: str | Path, *, dtype: Dtype = "float32", several: bool = False) -> PreTrainedModel:
    """A reward model from a folder or hub name: one label, a decoder, a `score`; adapters are merged.

    With `several` it may have a label for each aspect, named in `config.id2label`, if its config says that they are
    numbers (`problem_type: regression`) and not classes.
    """
    folder = locate(source)
    if (folder / "adapter_config.json").is_file():
        base = base_of_adapter(folder)
        if read_object(folder / "adapter_config.json").get("task_type") != "SEQ_CLS":
            raise ModelError("this adapter is not one of a reward model", where=str(source), remedy=_TRAIN)
        # The adapter brings the score layer; its base may be the plain language model.
        bare = read_model(_Labelled(_labels(folder)), base, source, dtype=dtype, may_miss=r"score\.weight")
        model = merged(load_adapter(bare, folder), copy=False)
    else:
        names = read_object(folder / "config.json").get("architectures") if (folder / "config.json").is_file() else None
        if names and not str(names[0]).endswith("ForSequenceClassification"):
            raise ModelError(f"it holds a {names[0]}, not a reward model", where=str(source), remedy=_TRAIN)
        model = read_model(AutoModelForSequenceClassification, folder, source, dtype=dtype)
    number = model.config.num_labels
    if number != 1 and not several:
        raise ModelError(f"it has {number} labels, and a reward is one number", where=str(source), remedy=_TRAIN)
    if number != 1 and model.config.problem_type != "regression":
        raise ModelError(
            f"it has {number} labels, and its config does not say that they are numbers and not classes",
            where=str(source),
            remedy='Where they are scores of aspects, write "problem_type": "regression" into its config.json.',
        )
    score_head(model)
    return model


_TRAIN = "Train a reward model with `truing train reward`, or give the folder of one."


def _labels(adapter: Path) -> tuple[str, ...]:
    """The heads that an adapter was trained with: those of its aspects where it notes some."""
    said = read_metadata(adapter).get("reward")
    aspects = said.get("aspects") if isinstance(said, dict) else None
    return tuple(map(str, aspects)) if isinstance(aspects, dict) and aspects else ("reward",)


class _Labelled:
    """`AutoModelForSequenceClassification` for a folder that holds a language model."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels

    def from_pretrained(self, folder: Path, *, config: PreTrainedConfig, **options: Any) -> Any:
        _name_labels(config, self.labels)
        return AutoModelForSequenceClassification.from_pretrained(folder, config=config, **options)


def _name_labels(config: Any, labels: Sequence[str]) -> None:
    config.num_labels = len(labels)
    config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    config.problem_type = "regression"  # pipelines then show the score itself and not its sigmoid


def score_head(model: nn.Module) -> nn.Module:
    """The layer that turns the last hidden state [..., hidden] into a reward [..., 1], with or without a bias.

    With LoRA it is peft's wrapper of it, whose trained copy answers.
    """
    head = getattr(unwrap(model), "score", None)
    if not isinstance(head, nn.Module):
        raise ModelError(
            f"{type(unwrap(model)).__name__} has no `score` layer: it is no reward model of a decoder",
            remedy="Reward models are sequence classification models of causal decoders.",
        )
    return head


class ValueHead(nn.Module):
    """V(state) from the last hidden state of the token before: [..., hidden] -> [...], float32.

    Starts at 0 everywhere, weight and bias, so that the first advantages are the returns themselves, as in the first
    RLHF code ("The N Implementation Details of RLHF with PPO", Huang et al. 2023, on lm-human-preferences).
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, 1, dtype=torch.float32)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        # Values are regressed to small differences: bfloat16 has too few digits for them, also under autocast.
        with torch.autocast(hidden.device.type, enabled=False):
            values: Tensor = self.linear(hidden.float()).squeeze(-1)
        return values


def value_head(model: nn.Module) -> ValueHead:
    """A value head for the hidden states of `model`, on its device."""
    base = unwrap(model)
    return ValueHead(base.config.get_text_config().hidden_size).to(base.get_input_embeddings().weight.device)

"""LoRA through peft, and the reference policy.

With adapters the reference is the same model with its adapters off: no second copy. Without, it is a frozen copy of the
weights in memory.
"""

from __future__ import annotations

import copy as copying
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from truing.errors import ModelError

__all__ = ["Reference", "load_adapter", "merged", "reference", "reference_when_asked", "with_lora"]


def with_lora(
    model: PreTrainedModel,
    *,
    r: int = 16,
    alpha: float = 32.0,
    dropout: float = 0.0,
    target_modules: str | Sequence[str] = "all-linear",
) -> PeftModel:
    """The model with low-rank adapters W + (alpha / r)·B·A, B = 0 at first (LoRA, arXiv:2106.09685, sec. 4.1).

    Changes `model` in place: its own weights are frozen. `all-linear` is every linear layer but the output (QLoRA,
    arXiv:2305.14314, sec. 4: needed to match full fine-tuning); otherwise names of layers, or one regular expression.
    The score layer of a reward model is trained in full. In bfloat16 models the adapters are float32. `A` is drawn from
    torch's global generator.
    """
    if isinstance(model, PeftModel):
        raise ModelError("this model has adapters already", remedy="Merge them first: truing.models.adapters.merged.")
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    _refuse_tied(model, targets)
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,  # type: ignore[arg-type]  # peft only divides it by r
        lora_dropout=dropout,
        target_modules=targets,
        task_type=TaskType.SEQ_CLS if _is_reward_model(model) else TaskType.CAUSAL_LM,
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.modules()),  # GPT-2 stores its matrices transposed
        bias="none",
    )
    try:
        with _known_warnings():
            return get_peft_model(model, config)
    except ValueError as error:
        if "target modules" not in str(error).lower():
            raise
        linear = (nn.Linear, Conv1D)
        names = sorted({name.rsplit(".", 1)[-1] for name, m in model.named_modules() if isinstance(m, linear)})
        raise ModelError(
            f"{target_modules!r} names no layer of a {type(model).__name__}",
            where="lora.target_modules",
            remedy=f"Its linear layers: {', '.join(names)}. Or use all-linear.",
        ) from error


def load_adapter(base: PreTrainedModel | PeftModel, folder: Path, name: str = "default") -> PeftModel:
    """The adapter in a local folder, on its base; under another name beside those that are there. Safetensors only."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            "there is no adapter_model.safetensors in this adapter folder",
            where=str(folder),
            remedy="A pickled adapter (adapter_model.bin) can run code when read: save it again as safetensors.",
        )
    try:
        with _known_warnings():
            # peft only warns of weights that are missing, and leaves them random
            warnings.filterwarnings("error", message=".*missing adapter keys")
            if isinstance(base, PeftModel):
                base.load_adapter(str(folder), adapter_name=name, torch_device="cpu")
                model = base
            else:
                model = PeftModel.from_pretrained(base, str(folder), adapter_name=name, torch_device="cpu")
    except Exception as error:  # the boundary to other people's files: a reader may raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"the adapter does not fit {base.name_or_path}: {type(error).__name__}: {reason}", where=str(folder)
        ) from error
    return model.eval()


def merged(model: nn.Module, *, copy: bool = True) -> PreTrainedModel:
    """A plain model whose weights are W + (alpha / r)·B·A; a model without adapters is returned as it is.

    `copy=False` saves the memory of a second model and uses up the given one.
    """
    if not isinstance(model, PeftModel):
        assert isinstance(model, PreTrainedModel), type(model)
        return model
    source = copying.deepcopy(model) if copy else model
    try:
        with _known_warnings():
            plain = source.merge_and_unload(safe_merge=True)
    except ValueError as error:
        if "NaN" not in str(error):
            raise
        raise ModelError("the adapter has weights that are not finite", remedy="Use an earlier checkpoint.") from error
    assert isinstance(plain, PreTrainedModel), type(plain)
    return plain


class Reference:
    """The policy to stay near to.

        with reference.active() as model:   # evaluation mode, no gradients
            ...

    `shared` says whether the model is the one in training (adapters off) or one of its own (frozen). `load` makes one
    of its own when it is asked for first, if ever.
    """

    def __init__(self, model: Any = None, *, shared: bool, load: Callable[[], Any] | None = None) -> None:
        assert (model is None) != (load is None), "a model, or how to come by one"
        self._model, self._load, self.shared = model, load, shared

    @property
    def model(self) -> Any:
        if self._model is None:
            assert self._load is not None
            self._model = self._load()
        return self._model

    @property
    def is_loaded(self) -> bool:
        """Whether a model is in memory."""
        return self._model is not None

    @contextmanager
    def active(self) -> Iterator[Any]:
        """The reference as a model, for as long as the block lasts. The same object as the policy if `shared`."""
        with torch.no_grad():
            if not self.shared:
                yield self.model
                return
            training = [module for module in self.model.modules() if module.training]
            self.model.eval()
            try:
                with self.model.disable_adapter():
                    yield self.model
            finally:
                # Not .train(): a part that somebody put in evaluation mode stays there.
                for module in training:
                    module.training = True


def reference(model: nn.Module, other: PreTrainedModel | None = None) -> Reference:
    """The reference of a policy that is about to be trained: `other` if given, else the policy as it is now.

    With adapters: the model below them, without a second copy; the adapters have to be fresh, or that is not the policy
    as it is now. Without: a deep copy from memory, tied weights tied, on the same device, frozen.
    """
    if other is None and isinstance(model, PeftModel):
        return Reference(model, shared=True)
    frozen: nn.Module = copying.deepcopy(model) if other is None else other
    return Reference(_frozen(frozen, next(model.parameters()).device), shared=False)


def reference_when_asked(load: Callable[[], nn.Module], device: torch.device) -> Reference:
    """A reference with weights of its own that are not in memory before somebody asks it."""
    return Reference(shared=False, load=lambda: _frozen(load(), device))


def _frozen(model: nn.Module, device: torch.device) -> nn.Module:
    return model.to(device).requires_grad_(False).eval()


def _is_reward_model(model: PreTrainedModel) -> bool:
    return type(model).__name__.endswith("ForSequenceClassification")


def _refuse_tied(model: PreTrainedModel, targets: str | list[str]) -> None:
    """Adapters on one of two tied matrices would part them on merging."""
    outputs, inputs = model.get_output_embeddings(), model.get_input_embeddings()  # type: ignore[no-untyped-call]
    if targets == "all-linear" or outputs is None or outputs.weight is not inputs.weight:
        return
    for name, module in model.named_modules():
        if module is outputs or module is inputs:
            hit = (
                re.fullmatch(targets, name)
                if isinstance(targets, str)
                else any(name == t or name.endswith(f".{t}") for t in targets)
            )
            if hit:
                raise ModelError(
                    f"`{name}` shares its weight with the {'input' if module is outputs else 'output'} embedding",
                    where="lora.target_modules",
                    remedy="Leave it out: an adapter on it could not be merged.",
                )


@contextmanager
def _known_warnings() -> Iterator[None]:
    """peft asks transformers for an attribute that transformers is about to rename."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*is_gradient_checkpointing", category=FutureWarning)
        yield

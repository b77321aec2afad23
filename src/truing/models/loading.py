"""A local folder or a hub name -> a model, a tokenizer.

Weights come from safetensors only (pickles can run code when read) and code comes with transformers only
(`trust_remote_code` is off). Whatever is wrong with a folder is said before training starts, also what transformers
would only log: weights that are missing are an error here, not a random start.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
import torch
from safetensors import SafetensorError
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import __version__ as transformers_version
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging as transformers_logging

from truing.errors import ModelError

__all__ = [
    "Dtype",
    "base_of_adapter",
    "best_device",
    "load_causal_lm",
    "load_tokenizer",
    "locate",
    "quiet",
    "read_model",
    "read_object",
]

Dtype = Literal["float32", "bfloat16", "auto"]

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.tiktoken",
    "tekken.json",
)
# Only what is read later: no pickles, no code, no other framework's weights, no subfolders.
_WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
_UNWANTED = ("*/*", "consolidated*", "*.onnx.json")
_CAUSAL = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")

# Tokens that model makers reserved for padding, or for nobody. Never a plain word: text could then forge it.
_PADS = ("<|pad|>", "<pad>", "[PAD]", "<|padding|>", "<|finetune_right_pad_id|>", "<|endoftext|>")
_RESERVED = re.compile(
    r"<\|reserved_special_token_\d+\|>|<\|extra_\d+\|>|<unused_?\d+>|\[unused\d+\]|<\|unused_?\d+\|>"
)
_NEW_PAD = "<|pad|>"


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_causal_lm(source: str | Path, *, dtype: Dtype = "float32", attention: str | None = None) -> PreTrainedModel:
    """A causal language model in evaluation mode, on the CPU, its weights in `dtype` whatever they are stored in.

    `source` is a folder or a hub name; `dtype="auto"` keeps the stored type; `attention` names one of transformers'
    attention implementations (default: transformers' choice). The folder of a PEFT adapter is loaded on its base and
    merged into it: a new adapter trained on top speaks of the merged weights and can only be saved merged.
    `ModelError` for anything that is not a complete causal language model.
    """
    folder = locate(source)
    if (folder / "adapter_config.json").is_file():
        from truing.models.adapters import load_adapter, merged  # it imports peft, which takes a second

        base = load_causal_lm(base_of_adapter(folder), dtype=dtype, attention=attention)
        model = merged(load_adapter(base, folder), copy=False)
        _name(model, "")  # these weights lie in no folder
        return model
    config = _config(folder)
    names = config.architectures or []
    if names and not any(name.endswith(_CAUSAL) for name in names):
        reward = names[0].endswith("ForSequenceClassification")
        raise ModelError(
            f"it holds a {names[0]}, not a causal language model",
            where=str(source),
            remedy="This is a reward model: give it as --reward, and a language model here." if reward else None,
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"models of type `{config.model_type}` are not causal language models",
            where=str(source),
            remedy="Use a decoder: Llama, Qwen, Mistral, Gemma, GPT-2, OLMo, ...",
        )
    model = read_model(AutoModelForCausalLM, folder, source, config, dtype=dtype, attention=attention)
    _name(model, source)
    return model


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder or hub name, with a PAD apart from EOS wherever one can be had.

    Token trees are never padded, but generation, transformers' own reward scoring (it reads the last token that is not
    PAD) and other people's tools do pad, and a PAD that is EOS makes an ended response look unended. In order: the
    tokenizer's own PAD; a token reserved for padding or for nothing; a new token in a spare row of the embedding (many
    models have some: no resizing); UNK. Where there is none of them (GPT-2), PAD is EOS, and lengths say what is
    padding.
    An adapter folder without a tokenizer has its base's. `ModelError` if there is none or it cannot be read.
    """
    folder = locate(source)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        if (folder / "adapter_config.json").is_file():
            return load_tokenizer(base_of_adapter(folder))
        raise ModelError(
            "this model folder has no tokenizer",
            where=str(source),
            remedy="Copy the tokenizer of the model it was made from into it (tokenizer.json, tokenizer_config.json).",
        )
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the boundary to other people's files: a reader may raise anything
        raise ModelError(
            f"the tokenizer cannot be read: {_first_line(error)}",
            where=str(source),
            remedy="Download or copy the tokenizer files again; custom tokenizer code is not run.",
        ) from error
    _part_pad(tokenizer, _vocabulary_rows(folder))
    return tokenizer


def _part_pad(tokenizer: PreTrainedTokenizerBase, rows: int | None) -> None:
    """Give the tokenizer a PAD other than its EOS; `rows` is the size of the model's embedding, if known."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    taken = {tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token}
    special = {
        **tokenizer.get_added_vocab(),
        **{t: i for t, i in tokenizer.get_vocab().items() if _RESERVED.fullmatch(t)},
    }
    reserved = sorted((i, t) for t, i in special.items() if _RESERVED.fullmatch(t))
    candidates = [t for t in _PADS if t in special and t not in taken] + [t for _, t in reserved]
    following = max(tokenizer.get_vocab().values(), default=-1) + 1
    if candidates:
        tokenizer.pad_token = candidates[0]
    elif rows is not None and following < rows:
        tokenizer.add_special_tokens({"pad_token": _NEW_PAD})
        assert tokenizer.pad_token_id < rows, (tokenizer.pad_token_id, rows)
    elif tokenizer.unk_token is not None and tokenizer.unk_token != tokenizer.eos_token:
        tokenizer.pad_token = tokenizer.unk_token
    elif tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token


def _vocabulary_rows(folder: Path) -> int | None:
    if not (folder / "config.json").is_file():
        return None
    config = read_object(folder / "config.json")
    text = config.get("text_config")
    rows = (text if isinstance(text, dict) else config).get("vocab_size")
    return rows if isinstance(rows, int) else None


def locate(source: str | Path) -> Path:
    """The folder of a model: itself, the `model` of a training run's folder, or the hub's, fetched (safetensors, JSON
    and tokenizer files only) or cached."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        is_run = (folder / "recipe.yaml").is_file() and (folder / "model").is_dir()
        return (folder / "model" if is_run else folder).resolve()
    if folder.is_file():
        raise ModelError("this is a file", where=str(source), remedy="Give the folder that holds config.json.")
    is_name = isinstance(source, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", source)
    if not is_name or (folder.parent != Path() and folder.parent.is_dir()):
        raise ModelError("no such folder", where=str(source), remedy="Check the path of the model folder.")
    try:
        with quiet(progress=True):
            fetched = huggingface_hub.snapshot_download(
                str(source), allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED)
            )
    except Exception as error:  # network, permissions, disk, names: each with its own class
        raise ModelError(
            f"no such folder here, and the Hugging Face hub does not give it: {_first_line(error)}",
            where=str(source),
            remedy="Check the spelling and the connection; for gated models accept the terms and run `hf auth login`.",
        ) from error
    return Path(fetched)


def base_of_adapter(folder: Path) -> Path:
    """The folder of the model that a PEFT adapter belongs to: the one it names, also as seen from its own folder."""
    said = folder / "adapter_config.json"
    named = read_object(said).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ModelError(
            "this adapter does not say which model it belongs to",
            where=str(said),
            remedy="Set base_model_name_or_path to the base model's folder or hub name.",
        )
    beside = folder / named
    try:
        base = locate(str(beside) if beside.is_dir() and not Path(named).is_dir() else named)
    except ModelError as error:
        raise ModelError(
            f"the model that this adapter belongs to is not there: {error.found} ({named})",
            where=str(said),
            remedy="Correct base_model_name_or_path, or save the adapter merged.",
        ) from error
    if (base / "adapter_config.json").is_file():
        raise ModelError(
            f"the base of this adapter is an adapter itself ({named})",
            where=str(said),
            remedy="Merge the lower one into its model first: truing export.",
        )
    return base


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"it is not readable JSON: {_first_line(error)}", where=str(path)) from error
    if not isinstance(data, dict):
        raise ModelError(f"it holds a {type(data).__name__}, not a JSON object", where=str(path))
    return data


def read_model(
    auto: Any,
    folder: Path,
    source: str | Path,
    config: PreTrainedConfig | None = None,
    *,
    dtype: Dtype = "float32",
    attention: str | None = None,
    may_miss: str | None = None,
) -> PreTrainedModel:
    """`auto.from_pretrained` of a local folder, with every silent accident turned into a `ModelError`.

    Weights whose name fits the pattern `may_miss` may be missing (a reward head that an adapter brings).
    """
    config = config or _config(folder)
    _check_weights(folder, source)
    where = str(source)
    try:
        with quiet():
            model, found = auto.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below, by name and shape
            )
    except SafetensorError as error:
        raise ModelError(
            f"a safetensors file is damaged or cut off: {_first_line(error)}",
            where=where,
            remedy="Copy or download the weights again.",
        ) from error
    except Exception as error:  # the boundary to other people's files: a reader may raise anything
        raise ModelError(f"the model cannot be loaded: {_first_line(error)}", where=where) from error
    wrong = [f"{name} ({_shape(there)}, expected {_shape(wanted)})" for name, there, wanted in found["mismatched_keys"]]
    missing = [name for name in found["missing_keys"] if not (may_miss and re.fullmatch(may_miss, name))]
    if wrong or missing:
        what = f"of another shape: {_some(wrong)}" if wrong else f"missing: {_some(missing)}"
        raise ModelError(
            f"{len(wrong) or len(missing)} weights are {what}",
            where=where,
            remedy="config.json and the weights do not belong together, or a file is missing.",
        )
    assert isinstance(model, PreTrainedModel)
    model.train(False)
    return model


def _config(folder: Path) -> PreTrainedConfig:
    path = folder / "config.json"
    if not path.is_file():
        inside = sorted(child.name for child in folder.iterdir() if (child / "config.json").is_file())
        raise ModelError(
            "there is no config.json in this folder",
            where=str(folder),
            remedy=f"Did you mean {folder / inside[0]}?"
            if inside
            else "A model folder has config.json, *.safetensors and tokenizer files, as `save_pretrained` writes them.",
        )
    kind = read_object(path).get("model_type")
    if isinstance(kind, str) and kind not in CONFIG_MAPPING:
        raise ModelError(
            f"model type `{kind}` is not part of transformers {transformers_version}",
            where=str(path),
            remedy="Update transformers if the model is new; code that comes with a model is not run.",
        )
    try:
        with quiet():
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # the boundary to other people's files: a reader may raise anything
        raise ModelError(f"it describes no known model: {_first_line(error)}", where=str(path)) from error
    return config


def _check_weights(folder: Path, source: str | Path) -> None:
    if any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        return
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickles:
        raise ModelError(
            f"its weights are pickles ({pickles[0]}), which can run code when read; only safetensors are loaded",
            where=str(source),
            remedy="If you trust them, convert them once and copy the tokenizer files: python -c "
            '"from transformers import AutoModelForCausalLM as M; '
            "M.from_pretrained('OLD', use_safetensors=False).save_pretrained('NEW')\"",
        )
    raise ModelError("there are no weights (model.safetensors) in this folder", where=str(source))


def _name(model: PreTrainedModel, source: str | Path) -> None:
    """Where the weights came from, as adapters will record it: an absolute path, a hub name, or "" for nowhere."""
    name = str(Path(source).expanduser().resolve()) if source and Path(source).expanduser().is_dir() else str(source)
    model.config._name_or_path = name
    model.name_or_path = name


@contextmanager
def quiet(*, progress: bool = False) -> Iterator[None]:
    """Neither transformers' log (its loading report is checked by us) nor, unless `progress`, its bars."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    if bars and not progress:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars and not progress:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _shape(shape: Any) -> str:
    return "x".join(str(n) for n in shape)


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _first_line(error: BaseException) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__

"""The models that are compared on: Llama shapes with random weights, and a tokenizer for which a word is a token.

Speed and memory do not depend on what the weights say, and texts of known length need no corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["EOS", "SIZES", "Size", "text", "write_model"]

EOS = 1
LONGEST = 4096
_SPECIAL = ["<pad>", "<eos>", "<unk>"]


@dataclass(frozen=True, slots=True)
class Size:
    """A shape. `head_width` is 64 in real sizes: attention kernels are made for it."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    inner: int
    vocabulary: int
    head_width: int = 64

    @property
    def body_weights(self) -> int:
        """Weights of the layers' matrices; the embedding is not multiplied, the head is counted apart."""
        queries, keys = self.heads * self.head_width, self.key_heads * self.head_width
        attention = self.hidden * (2 * queries + 2 * keys)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def head_weights(self) -> int:
        return self.hidden * self.vocabulary


SIZES = {
    "toy": Size(hidden=32, layers=2, heads=2, key_heads=1, inner=64, vocabulary=256, head_width=16),
    "S": Size(hidden=256, layers=8, heads=4, key_heads=2, inner=1024, vocabulary=8192),
    "M": Size(hidden=768, layers=12, heads=12, key_heads=4, inner=2048, vocabulary=32768),
}


def text(tokens: list[int]) -> str:
    """The text of which these are the tokens (ids from `len(_SPECIAL)` on)."""
    return " ".join(f"t{token}" for token in tokens)


def write_model(size: Size, folder: Path, seed: int = 0) -> None:
    """Write a model folder as `save_pretrained` does: safetensors in float32, config, tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from truing.models.loading import quiet

    config = LlamaConfig(
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        head_dim=size.head_width,
        intermediate_size=size.inner,
        vocab_size=size.vocabulary,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=EOS,
        eos_token_id=EOS,
    )
    torch.manual_seed(seed)
    with quiet():
        LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate(_SPECIAL)}
    vocabulary |= {f"t{i}": i for i in range(len(_SPECIAL), size.vocabulary)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=LONGEST, **special)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)

"""Makes something to train out of nothing: a BPE tokenizer from the texts of feedback files, and an untrained Llama.

    python prepare.py FILE... --out FOLDER

The files may be in any format that Truing reads. The folder is a plain Hugging Face one, for `truing train --model`.
Give training files only: a tokenizer made from held-out texts has seen them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from truing import feedback

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<bos>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{{- '<|' + message.role + '|>' + message.content -}}
{%- if message.role == 'assistant' -%}{{- eos_token -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


def texts(files: Sequence[Path]) -> Iterator[str]:
    """What is said in the files, turn by turn."""
    for file in files:
        for group in feedback.read(file, skip_bad=True):
            messages = [*group.prompt.messages, *(m for response in group.responses for m in response.messages)]
            yield from (message.content for message in messages)


def build_tokenizer(corpus: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE (no text is unknown to it) with a token for each role and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        extra_special_tokens=list(SPECIAL[3:]),
        chat_template=TEMPLATE,
    )


def build_model(
    tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int, heads: int, seed: int
) -> LlamaForCausalLM:
    """A Llama with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=round(hidden * 8 / 3 / 32) * 32,  # Llama's 8/3, in whole vector registers
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="feedback files to learn the words from")
    parser.add_argument("--out", type=Path, required=True, help="folder for model and tokenizer")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--hidden", type=int, default=320)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    from truing.models.saving import save_model  # it loads torch; --help does not wait for that

    tokenizer = build_tokenizer(texts(chosen.files), chosen.vocabulary)
    model = build_model(tokenizer, chosen.hidden, chosen.layers, chosen.heads, chosen.seed)
    save_model(model, tokenizer, chosen.out)
    print(f"{chosen.out}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens in the vocabulary")


if __name__ == "__main__":
    main()

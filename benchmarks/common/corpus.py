"""Preference pairs of made-up words, about as long as hh-rlhf's, and a byte-level BPE tokenizer trained on them."""

from __future__ import annotations

import bisect
import itertools
import json
import math
import random
from pathlib import Path

__all__ = ["Writer", "write_large", "write_pairs", "write_tokenizer"]

_ONSETS = (*"bcdfghjklmnprstvw", "br", "ch", "cl", "dr", "fl", "gr", "pl", "pr", "sh", "sl", "st", "th", "tr", "wh")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "ie", "oo", "ou")
_CODAS = ("", "", "", "l", "m", "n", "r", "s", "t", "ck", "ll", "nd", "ng", "st")


class Writer:
    """Writes prose that means nothing: words by Zipf's law, sentences, paragraphs; the same for the same seed."""

    def __init__(self, seed: int, words: int = 20_000) -> None:
        self._drawn = random.Random(f"corpus/{seed}")
        made = random.Random("words")
        known: dict[str, None] = {}
        while len(known) < words:
            # Frequent words are short, as they are everywhere.
            syllables = 1 + min(3, len(known) * 4 // words + made.randrange(2))
            parts = (made.choice(_ONSETS) + made.choice(_VOWELS) + made.choice(_CODAS) for _ in range(syllables))
            known["".join(parts)] = None
        self._words = list(known)
        self._cumulated = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(words)))

    def prose(self, mean: float, spread: float) -> str:
        """Log-normally many words, `mean` on average."""
        drawn = self._drawn
        left = max(1, int(drawn.lognormvariate(math.log(mean) - spread**2 / 2, spread)))
        said: list[str] = []
        while left > 0:
            size = min(left, drawn.randint(4, 18))
            left -= size
            total = self._cumulated[-1]
            chosen = [self._words[bisect.bisect(self._cumulated, drawn.random() * total)] for _ in range(size)]
            sentence = " ".join(chosen).capitalize() + drawn.choice("...?!")
            said.append(sentence + ("\n\n" if drawn.random() < 0.1 else " "))
        return "".join(said).strip()

    def pair(self) -> dict[str, list[dict[str, str]]]:
        """A row of a TRL preference file. About 1.6 tokens a word: prompts of about 150, responses of about 120."""
        # A dialogue now and then, as in hh-rlhf.
        turns = self._drawn.choice((1, 1, 3))
        each = 85 / turns
        prompt = [{"role": ("user", "assistant")[i % 2], "content": self.prose(each, 0.7)} for i in range(turns)]
        answers = [[{"role": "assistant", "content": self.prose(75, 0.8)}] for _ in range(2)]
        return {"prompt": prompt, "chosen": answers[0], "rejected": answers[1]}


def write_pairs(path: Path, number: int, seed: int) -> None:
    """A JSONL file of `number` pairs."""
    writer = Writer(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(number):
            file.write(json.dumps(writer.pair()) + "\n")


def write_large(path: Path, size: float, seed: int = 0) -> int:
    """A JSONL file of about `size` bytes; how many pairs it holds. The same 5,000 texts over and over, each time with
    another number before the question, so that no two rows are the same."""
    writer, number = Writer(seed), 0
    lines = [json.dumps(writer.pair()) + "\n" for _ in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        left = size
        while left > 0:
            line = lines[number % len(lines)].replace('"content": "', f'"content": "{number} ', 1)
            left -= file.write(line)  # one byte a character: JSON escapes all others
            number += 1
    return number


def write_tokenizer(folder: Path, vocabulary: int, seed: int = 0) -> None:
    """A byte-level BPE with ChatML's tokens and template, trained on the writer's prose."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    writer = Writer(seed)
    inner.train_from_iterator((writer.prose(120, 0.8) for _ in range(4000)), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=2048,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
    )
    tokenizer.chat_template = _CHATML
    tokenizer.save_pretrained(folder)


_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

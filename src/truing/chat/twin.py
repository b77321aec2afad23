"""The tokenizer's twin: the same tokens, but its special tokens have secret names.

A tokenizer reads `<|im_end|>` as one token wherever it stands, in the template or in a stranger's message. In the twin
those tokens are spelled with a random word that nobody outside this process knows. The template's text is rewritten to
the secret spelling, contents are left as they are, and the whole is tokenised in one go: special tokens come from the
template alone, whatever the contents say, and ordinary text gets the very tokens that the original gives it, white
space and prefix rules included.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from truing.errors import DataError, ModelError

__all__ = ["THOUGHTS", "Twin"]

_OPEN, _CLOSE = "\ue0f0", "\ue0f1"  # of the secret names

_MARKING = re.compile(r"[^\w\s]")  # added words and runs of spaces are no turn markers, though a template contains them

THOUGHTS = ("<think>", "</think>")
"""Reasoning tags: tokens that an assistant may say, not turn markers."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A piece of text for one call of a tokenizer: where it starts, and how many tokens are not its own."""

    tokenizer: Tokenizer
    text: str
    shift: int = 0
    skip: int = 0


class Twin:
    """`guarded` are the tokens no content can produce: all special ones, and those the template marks turns with."""

    def __init__(self, tokenizer: Any, template_text: str) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                f"{type(tokenizer).__name__} is not a fast tokenizer",
                where=f"tokenizer {getattr(tokenizer, 'name_or_path', '')}".strip(),
                remedy="Load it with AutoTokenizer from a folder that holds a tokenizer.json.",
            )
        data = json.loads(backend.to_str())
        data.update(post_processor=None, truncation=None, padding=None)
        added = data["added_tokens"]
        self.guarded: dict[str, int] = {
            token["content"]: token["id"]
            for token in added
            if (token["special"] or (_MARKING.search(token["content"]) and token["content"] in template_text))
            and token["content"] not in THOUGHTS
        }
        nonce = secrets.token_hex(8)
        self._secret = {name: f"{_OPEN}{nonce}.{number}{_CLOSE}" for name, number in self.guarded.items()}
        self._number = {secret: self.guarded[name] for name, secret in self._secret.items()}
        for token in added:
            if token["content"] in self._secret:
                token.update(content=self._secret[token["content"]], normalized=False)
        _rename(data["model"], self._secret)
        self.strips_after = {self._number[t["content"]] for t in added if t["content"] in self._number and t["rstrip"]}
        self.strips_before = {self._number[t["content"]] for t in added if t["content"] in self._number and t["lstrip"]}

        self._whole = Tokenizer.from_str(json.dumps(data))
        self.has_prefix = _drop_prefix(data)
        self._inner = Tokenizer.from_str(json.dumps(data)) if self.has_prefix else self._whole
        for secret, number in self._number.items():
            if self._whole.token_to_id(secret) != number:
                raise ModelError(
                    f"special token {number} cannot be guarded: the tokenizer numbers its added tokens unusually",
                    where=f"tokenizer {getattr(tokenizer, 'name_or_path', '')}".strip(),
                    remedy="Save the tokenizer again with a current version of transformers.",
                )
        self.spelled = _any_of(self.guarded)
        self.secret = _any_of(self._number)
        self._backend = backend
        self.normalization = _normalization(backend, data["normalizer"])

    def spell(self, template_text: str) -> str:
        """The template's text with its special tokens in the secret spelling."""
        return self.spelled.sub(lambda match: self._secret[match[0]], template_text)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text that starts at the beginning, or at a special token."""
        return self._encode(self._whole, text)

    def follow(self, after: str | None, text: str) -> list[int]:
        """Tokens of a text that goes on where another ended.

        `after` is the special token (secret spelling) right before it, "" at the very beginning, None in the middle of
        text: there no prefix space is made up, and no token reaches across.
        """
        tokens: list[int] = []
        for run in self._runs(after, text):
            tokens += self._encode(run.tokenizer, run.text)[run.skip :]
        return tokens

    def spans(self, after: str | None, text: str) -> list[tuple[int, int]]:
        """(start, end) in `text` of each token that `follow` gives; several tokens may share a character."""
        return [
            (start + run.shift, end + run.shift)
            for run in self._runs(after, text)
            for start, end in self._encoding(run.tokenizer, run.text).offsets[run.skip :]
        ]

    def _runs(self, after: str | None, text: str) -> list[_Run]:
        """What is tokenised, piece by piece, for `follow`."""
        if not text:
            return []
        if after is not None:
            return [_Run(self._whole, after + text, -len(after), 1 if after else 0)]
        match = self.secret.search(text)
        if match is None:
            return [_Run(self._inner, text)]
        head = text[: match.start()]
        if self._number[match[0]] in self.strips_before:
            head = head.rstrip()
        rest = _Run(self._whole, text[match.start() :], match.start())
        return [_Run(self._inner, head), rest] if head else [rest]

    def after(self, text: str) -> str | None:
        """What `follow` has to know of a text (secret spelling) that has ended."""
        if not text:
            return None
        start = text.rfind(_OPEN)
        match = self.secret.match(text, start) if start >= 0 else None
        if match is None or text[match.end() :].strip():
            return None
        # Some tokens swallow the white space after them, the response's too.
        return text[start:] if match.end() == len(text) or self._number[match[0]] in self.strips_after else None

    def decode(self, tokens: Iterable[int], *, inner: bool) -> str:
        """Text of tokens, special ones left out; `inner` = they stand in the middle of text, where a leading space
        is one."""
        hidden = set(self.guarded.values())
        kept = [token for token in tokens if token not in hidden]
        if not inner or not self.has_prefix:
            return self._decode(kept)
        anchor = self._encode(self._inner, "a")
        return self._decode(anchor + kept)[len(self._decode(anchor)) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(self._backend.decode(tokens, skip_special_tokens=False))

    @classmethod
    def _encode(cls, tokenizer: Any, text: str) -> list[int]:
        ids: list[int] = cls._encoding(tokenizer, text, offsets=False).ids
        return ids

    @staticmethod
    def _encoding(tokenizer: Any, text: str, *, offsets: bool = True) -> Any:
        try:
            if not offsets:  # a sixth of the time is spent on them
                return tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
            return tokenizer.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError) as error:
            spoilt = re.search("[\ud800-\udfff]", text)
            if spoilt is None:
                raise
            around = text[max(0, spoilt.start() - 20) : spoilt.start()]
            raise DataError(
                f"half a character (a lone surrogate, {spoilt[0]!r}) after {around!r}",
                remedy="Mend the row's encoding, or leave it out.",
            ) from error


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Any of the words, the longest first; never matches when there is none."""
    return re.compile("|".join(re.escape(w) for w in sorted(words, key=len, reverse=True)) or r"(?!)")


def _normalization(backend: Any, rules: dict[str, Any] | None) -> Callable[[str], str] | None:
    """What the tokenizer does to letters before it cuts text; the mere "▁ for a space" of sentencepiece is left out."""
    parts = [] if rules is None else rules["normalizers"] if rules["type"] == "Sequence" else [rules]
    if all(part["type"] == "Replace" for part in parts):
        return None
    return lambda text: str(backend.normalizer.normalize_str(text)).replace("▁", " ")


def _rename(model: dict[str, Any], names: dict[str, str]) -> None:
    """Renames vocabulary entries, so that no merge or word of ordinary text ends in a special token either."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        for name, secret in names.items():
            if name in vocabulary:
                vocabulary[secret] = vocabulary.pop(name)
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        model["merges"] = [p for p in pairs if not {p[0], p[1], p[0] + p[1]} & names.keys()]


def _drop_prefix(data: dict[str, Any]) -> bool:
    """Takes away every rule that puts a space before a text's first word; says whether there was one."""
    dropped = False

    def visit(part: dict[str, Any] | None, members: str) -> dict[str, Any] | None:
        nonlocal dropped
        if part is None:
            return None
        if part["type"] == "Sequence":
            kept = [p for p in (visit(p, members) for p in part[members]) if p is not None]
            return {**part, members: kept}
        if part["type"] == "Prepend":
            dropped = True
            return None
        if part["type"] == "Metaspace" and part.get("prepend_scheme", "always") != "never":
            dropped = True
            return {"type": "Metaspace", "replacement": part["replacement"], "prepend_scheme": "never"} | {
                key: part[key] for key in ("split",) if key in part
            }
        if part["type"] == "ByteLevel" and part.get("add_prefix_space"):
            dropped = True
            return {**part, "add_prefix_space": False}
        return part

    data["normalizer"] = visit(data["normalizer"], "normalizers")
    data["pre_tokenizer"] = visit(data["pre_tokenizer"], "pretokenizers")
    return dropped

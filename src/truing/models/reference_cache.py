"""What the reference said, so that it need not be asked again: in later epochs, and in later runs.

The reference is frozen, so what it says of a response depends on its weights and on the tokens: the prompt's, the
response's, and which of them are trained on. These, and nothing that only stands for them, are the key: another
template, tokenizer or truncation gives other tokens, another run of the same model on the same data the same ones.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from truing.models.store import Row, Store
from truing.tree import Branch, Packed, Tree, pack

__all__ = ["ReferenceCache"]

_MOST_IN_MEMORY = 2**25
"""Bytes of numbers that wait to be written."""


@dataclass(frozen=True, slots=True)
class _Response:
    """A row of a micro-batch, and the key under which its log-probabilities are kept."""

    group: int
    prompt: list[int]
    branch: Branch
    key: bytes


class ReferenceCache:
    """Log-probabilities of whole responses under one reference, kept in `store`, and until `flush` in memory."""

    def __init__(self, store: Store, wanted: Iterable[tuple[Tree, bool]]) -> None:
        """`wanted`: trees that will be asked about, each with whether that is under autocast."""
        self.store = store
        self._fresh: dict[bytes, Row] = {}
        self._fresh_bytes = 0
        self.num_wanted = self.num_missing = 0
        """Responses among those of `wanted`, and those of them that were not known in the beginning."""
        for tree, autocast in wanted:
            for key in _keys(tree, autocast):
                self.num_wanted += 1
                self.num_missing += key not in store
        self.num_cached = self.num_asked = 0
        """How often what the reference says of a response was known, and how often it was run for one."""

    def logprobs(self, packed: Packed, ask: Callable[[Packed], Tensor], *, autocast: bool) -> Tensor:
        """`ref_logprobs` of a micro-batch, [rows, tokens]; `ask(packed)` runs the reference, for what is not known.

        Where nothing is known, the whole micro-batch is asked about as it is: then these are the very numbers of a run
        without a cache. Otherwise they are those of the run that asked, whose micro-batches were others, which moves
        the last digits.
        """
        responses = list(_responses(packed, autocast))
        known = [self._known(response.key) for response in responses]
        unknown = [response for response, row in zip(responses, known, strict=True) if row is None]
        self.num_asked += len(unknown)
        self.num_cached += len(responses) - len(unknown)
        if unknown and len(unknown) == len(responses):
            said = ask(packed)
            self._learn(responses, said, packed.mask)
            return said
        answers: Iterator[Row] = iter(())
        if unknown:
            fewer = pack(list(_trees(unknown))).to(packed.token_ids.device)
            answers = iter(self._learn(unknown, ask(fewer), fewer.mask))
        flat = np.concatenate([np.empty(0, np.float32), *(next(answers) if row is None else row for row in known)])
        out = torch.zeros(packed.shape, dtype=torch.float32, device=packed.mask.device)
        out[packed.mask] = torch.from_numpy(flat).to(out.device)
        return out

    def flush(self) -> None:
        """Write what is new. Before a checkpoint: a run that goes on from there then reads what it had."""
        fresh, self._fresh, self._fresh_bytes = self._fresh, {}, 0
        self.store.write(fresh)

    def _known(self, key: bytes) -> Row | None:
        return self._fresh[key] if key in self._fresh else self.store.get(key)

    def _learn(self, responses: Sequence[_Response], said: Tensor, mask: Tensor) -> list[Row]:
        """`said` and `mask` [rows, tokens]; rows without a trained token stand between the others."""
        assert said.dtype == torch.float32, said.dtype
        held, trained = said.detach().cpu().numpy(), mask.cpu().numpy()
        rows: list[Row] = [held[row][trained[row]] for row in np.flatnonzero(trained.any(1))]
        for row, response in zip(rows, responses, strict=True):
            if response.key not in self._fresh:
                self._fresh[response.key] = row
                self._fresh_bytes += row.nbytes
        if self._fresh_bytes > _MOST_IN_MEMORY:
            self.flush()
        return rows


def _responses(packed: Packed, autocast: bool) -> Iterable[_Response]:
    """The rows of a micro-batch that have a trained token."""
    token_ids: list[int] = packed.token_ids.tolist()
    masks: list[list[bool]] = packed.mask.tolist()
    row = -1
    for group, span in enumerate(packed.layout):
        prompt = token_ids[slice(*span.prompt)]
        begun = _begun(prompt, autocast)
        for start, end in span.branches:
            row += 1
            branch = Branch(token_ids[start:end], masks[row][: end - start])
            if any(branch.mask):
                yield _Response(group, prompt, branch, _key(begun, branch.tokens, branch.mask))


def _keys(tree: Tree, autocast: bool) -> list[bytes]:
    """The keys of a tree's responses, as `_responses` finds them when it is packed."""
    begun = _begun(tree.prompt, autocast)
    keys = []
    for branch in tree.branches:
        # Nothing predicts a first token that nothing precedes (`tree.Packed`).
        mask = branch.mask if tree.prompt else [False, *branch.mask[1:]][: len(branch.mask)]
        if any(mask):
            keys.append(_key(begun, branch.tokens, mask))
    return keys


def _begun(prompt: Sequence[int], autocast: bool) -> Any:
    digest = hashlib.sha256(b"bfloat16 products" if autocast else b"products as stored")
    digest.update(array("q", [len(prompt), *prompt]).tobytes())
    return digest


def _key(begun: Any, tokens: Sequence[int], mask: Sequence[bool]) -> bytes:
    digest = begun.copy()
    digest.update(array("q", [len(tokens), *tokens]).tobytes())
    digest.update(bytes(mask))
    key: bytes = digest.digest()
    return key


def _trees(responses: Iterable[_Response]) -> Iterable[Tree]:
    """Groups of these responses alone, in their order."""
    trees: dict[int, Tree] = {}
    for response in responses:
        trees.setdefault(response.group, Tree(response.prompt, [])).branches.append(response.branch)
    return trees.values()

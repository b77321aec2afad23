"""Trees that lie in a file, so that memory does not grow with the data.

A tree in memory takes some 36 bytes a token, in the file 2 to 5: tokens as 16 or 32 bit numbers, the mask where it is
not all one, the feedback as Python marshals it. The file is nobody else's: it is deleted as soon as it is open.
"""

from __future__ import annotations

import errno
import marshal
import tempfile
import weakref
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

from truing.errors import DataError
from truing.tree import Branch, Tree

__all__ = ["StoredTrees", "TreeFile"]

_BUFFER = 1 << 20


class TreeFile:
    """Trees, written one after the other and read in any order. `folder` is where the file lies while it is open."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 (open as long as this is)
        weakref.finalize(self, self._file.close)
        self._buffer = bytearray()
        self._written = 0
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, tree: Tree) -> None:
        """Add a tree; `DataError` where the disk is full."""
        self._buffer += _packed(tree)
        self._ends.append(self._written + len(self._buffer))
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def read(self, number: int) -> Tree:
        """The tree that was added as number `number`, counted from 0: a new one each time."""
        if self._buffer:
            self._flush()
        start = self._ends[number - 1] if number else 0
        # Not mapped into memory: pages that were read would count as the process's own.
        self._file.seek(start)
        return _unpacked(self._file.read(self._ends[number] - start))

    def _flush(self) -> None:
        left = memoryview(self._buffer)
        self._file.seek(self._written)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(
                f"the disk is full after {self._written >> 20} MiB of tokens",
                where=str(self._folder),
                remedy="A data set's tokens lie on disk while it is trained on: make room, or choose another --out.",
            ) from error
        self._written += len(self._buffer)
        self._buffer = bytearray()


class StoredTrees(Sequence[Tree]):
    """Some trees of a file, in an order. `finish` is given each tree that is read, to add what is known only later."""

    def __init__(
        self, file: TreeFile, numbers: Sequence[int], finish: Callable[[Tree], None] = lambda tree: None
    ) -> None:
        self._file, self._numbers, self._finish = file, numbers, finish

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Tree: ...
    @overload
    def __getitem__(self, index: slice) -> StoredTrees: ...
    def __getitem__(self, index: int | slice) -> Tree | StoredTrees:
        if isinstance(index, slice):
            return StoredTrees(self._file, self._numbers[index], self._finish)
        tree = self._file.read(self._numbers[index])
        self._finish(tree)
        return tree

    def finished(self, finish: Callable[[Tree], None]) -> StoredTrees:
        """The same trees, each finished in this way."""
        return StoredTrees(self._file, self._numbers, finish)


def _packed(tree: Tree) -> bytes:
    branches = []
    for branch in tree.branches:
        assert branch.logprobs is None, "trees from files were not sampled"
        mask = None if all(branch.mask) else bytes(branch.mask)
        branches.append((_numbers(branch.tokens), mask, branch.finished))
    return marshal.dumps((_numbers(tree.prompt), branches, tree.feedback))


def _unpacked(data: bytes) -> Tree:
    prompt, branches, feedback = marshal.loads(data)
    return Tree(_tokens(prompt), [_branch(*each) for each in branches], feedback)


def _branch(held: tuple[str, bytes], mask: bytes | None, finished: bool) -> Branch:
    tokens = _tokens(held)
    return Branch(tokens, [True] * len(tokens) if mask is None else list(map(bool, mask)), finished=finished)


def _numbers(tokens: Sequence[int]) -> tuple[str, bytes]:
    code = "H" if max(tokens, default=0) < 1 << 16 else "I"
    return code, array(code, tokens).tobytes()


def _tokens(held: tuple[str, bytes]) -> list[int]:
    code, data = held
    numbers: array[Any] = array(code)
    numbers.frombytes(data)
    return numbers.tolist()

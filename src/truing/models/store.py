"""Rows of float32 numbers on disk, by key: written once, never changed, checked whenever they are read.

    root/
      <what they belong to>/
        <sha256 of the file>.safetensors

    keys [n, 32] uint8, sizes [n] int64, checks [n] uint32 (CRC of each row), values [sum of sizes] float32

A file's name is the hash of its bytes, so a file that was damaged or cut off no longer has its name and is not
believed. It is written under another name, flushed and renamed: a process that is killed leaves nothing that anybody
would read, and two processes at once write two files, or one and the same. In memory there are some 30 bytes a row,
whatever its length.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

__all__ = ["CacheWarning", "Row", "Store"]

Row = NDArray[np.float32]
KEY_BYTES = 32
_TYPES = {"keys": "U8", "sizes": "I64", "checks": "U32", "values": "F32"}
_LARGEST_HEADER = 10_000
_ABANDONED = 3600
"""Seconds after which a half-written file belongs to nobody who still writes."""


class CacheWarning(UserWarning):
    """Something about a cache that costs time or space and changes no result."""


class Store:
    """The rows that belong to `name`, in a folder of `root`, which holds at most `limit` bytes of all names together.

    Where there is no room, files that nobody has opened for the longest time make some; those of `name` never do. What
    is damaged is deleted, with a `CacheWarning`, and not used.
    """

    def __init__(self, root: Path, name: str, *, limit: int) -> None:
        self.root, self.folder, self.limit = root, root / name, limit
        self._told: set[str] = set()
        self._files: list[_File] = []
        for path in sorted(self.folder.glob("*.safetensors")):
            self._open(path)
        self._index()

    def __contains__(self, key: bytes) -> bool:
        """Whether there is a row under this key, as far as its first 8 bytes tell."""
        first, end = self._places(key)
        return first < end

    def get(self, key: bytes) -> Row | None:
        """The row under this key; None where there is none, or none any more."""
        for place in range(*self._places(key)):
            file = self._files[self._of_file[place]]
            try:
                row: Row | None = file.row(int(self._of_row[place]), key)
            except FileNotFoundError:  # another process made room
                continue
            except OSError as error:
                self._tell(f"{file.path} cannot be read ({error.strerror}): what it holds is made again")
                continue
            except _DamagedError:
                self._discard(file.path)
                continue
            if row is not None:
                return row
        return None

    def write(self, rows: Mapping[bytes, Row]) -> bool:
        """Add a file of these rows. False, with a `CacheWarning`, where there is no room or no permission."""
        if not rows:
            return True
        values = [np.ascontiguousarray(row, np.float32) for row in rows.values()]
        data = save(
            {
                "keys": np.frombuffer(b"".join(rows), np.uint8).reshape(-1, KEY_BYTES),
                "sizes": np.array([len(row) for row in values], np.int64),
                "checks": np.array([zlib.crc32(row.data) for row in values], np.uint32),
                "values": np.concatenate(values),
            }
        )
        place = self.folder / f"{hashlib.sha256(data).hexdigest()}.safetensors"
        draft = self.folder / f".{uuid.uuid4().hex}.draft"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._make_room(len(data)):
                self._tell(
                    f"{self.root} is full: what is kept for this model alone takes {self.limit / 1e9:g} GB, and what "
                    "is new is not kept"
                )
                return False
            try:
                with draft.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(place)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            self._tell(f"{self.folder} cannot be written ({error.strerror}): nothing is kept")
            return False
        self._open(place)
        self._index()
        return True

    def _open(self, path: Path) -> None:
        """Look through a file, if it is what was written."""
        try:
            self._files.append(_File.opened(path))
            os.utime(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._tell(f"{path} cannot be read ({error.strerror}): what it holds is made again")
        except _DamagedError:
            self._discard(path)

    def _discard(self, path: Path) -> None:
        self._tell(f"{path} is damaged: it is deleted, and what it held is made again")
        with suppress(OSError):  # it was said; whoever opens it next will find it damaged too
            path.unlink(missing_ok=True)

    def _index(self) -> None:
        """Sort the beginnings of all keys: that of row `_of_row[i]` of file `_of_file[i]` is `_sorted[i]`."""
        starts = [file.starts for file in self._files]
        everything = np.concatenate(starts) if starts else np.empty(0, np.uint64)
        order = np.argsort(everything, kind="stable")
        self._sorted = everything[order]
        counts = [len(each) for each in starts]
        self._of_file = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)[order]
        rows = [np.arange(count, dtype=np.uint32) for count in counts]
        self._of_row = (np.concatenate(rows) if rows else np.empty(0, np.uint32))[order]

    def _places(self, key: bytes) -> tuple[int, int]:
        start = np.uint64(int.from_bytes(key[:8], "little"))
        first = int(np.searchsorted(self._sorted, start))
        return first, int(np.searchsorted(self._sorted, start, "right")) if first < len(self._sorted) else first

    def _make_room(self, needed: int) -> bool:
        """Delete files of others, opened longest ago first, until `needed` bytes fit; False if they never will."""
        files: list[tuple[float, int, Path]] = []
        for path in self.root.glob("*/*"):
            with suppress(FileNotFoundError):
                about = path.stat()
                if path.suffix == ".draft" and about.st_mtime < time.time() - _ABANDONED:
                    path.unlink(missing_ok=True)
                elif path.is_file():
                    files.append((about.st_mtime, about.st_size, path))
        taken = sum(size for _, size, _ in files)
        if needed + sum(size for _, size, path in files if path.parent == self.folder) > self.limit:
            return False
        for _, size, path in sorted(files):
            if taken + needed <= self.limit:
                break
            if path.parent != self.folder and path.suffix == ".safetensors":
                path.unlink(missing_ok=True)
                taken -= size
        return taken + needed <= self.limit

    def _tell(self, text: str) -> None:
        """Once: a full disk is full at every checkpoint."""
        if text not in self._told:
            self._told.add(text)
            warnings.warn(text, CacheWarning, stacklevel=3)


class _DamagedError(Exception):
    """A file does not hold what was written."""


@dataclass(frozen=True, slots=True)
class _File:
    """One file, looked through: where its rows lie, and how they begin and end. The rows stay on disk."""

    path: Path
    starts: NDArray[np.uint64]
    """The first 8 bytes of each key."""
    ends: NDArray[np.int64]
    checks: NDArray[np.uint32]
    keys_at: int
    values_at: int

    @classmethod
    def opened(cls, path: Path) -> _File:
        """`_DamagedError` if the file's bytes are not those that its name says, or not of this form."""
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != path.stem:
                raise _DamagedError
            places, shapes = _header(file, os.fstat(file.fileno()).st_size)
            number = shapes["sizes"][0] if len(shapes["sizes"]) == 1 else -1
            if shapes["keys"] != [number, KEY_BYTES] or shapes["checks"] != [number]:
                raise _DamagedError
            keys = np.frombuffer(_read(file, places["keys"], number * KEY_BYTES), np.uint8).reshape(-1, KEY_BYTES)
            sizes = np.frombuffer(_read(file, places["sizes"], number * 8), np.int64)
            checks = np.frombuffer(_read(file, places["checks"], number * 4), np.uint32)
            if (sizes < 0).any() or shapes["values"] != [int(sizes.sum())]:
                raise _DamagedError
        starts = np.ascontiguousarray(keys[:, :8]).view(np.uint64)[:, 0]
        return cls(path, starts, np.cumsum(sizes), checks, places["keys"], places["values"])

    def row(self, number: int, key: bytes) -> Row | None:
        """Row `number`, if its whole key is this one."""
        end = int(self.ends[number])
        first = int(self.ends[number - 1]) if number else 0
        with self.path.open("rb") as file:
            if _read(file, self.keys_at + number * KEY_BYTES, KEY_BYTES) != key:
                return None
            data = _read(file, self.values_at + 4 * first, 4 * (end - first))
        if zlib.crc32(data) != self.checks[number]:
            raise _DamagedError
        return np.frombuffer(data, np.float32)


def _header(file: BinaryIO, size: int) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Where each tensor of a safetensors file begins, and its shape."""
    length = int.from_bytes(_read(file, 0, 8), "little")
    if length > _LARGEST_HEADER:
        raise _DamagedError
    places, shapes = {}, {}
    try:
        said: dict[str, Any] = json.loads(_read(file, 8, length))
        for name, dtype in _TYPES.items():
            begin, end = said[name]["data_offsets"]
            if said[name]["dtype"] != dtype or not 0 <= begin <= end <= size - 8 - length:
                raise _DamagedError
            places[name], shapes[name] = 8 + length + begin, said[name]["shape"]
    except (ValueError, KeyError, TypeError) as error:
        raise _DamagedError from error
    return places, shapes


def _read(file: BinaryIO, place: int, number: int) -> bytes:
    file.seek(place)
    data = file.read(number)
    if len(data) != number:
        raise _DamagedError
    return data

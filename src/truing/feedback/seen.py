"""What was seen before, of more things than fit into memory: a table on disk that is deleted with the process."""

from __future__ import annotations

import sqlite3
import weakref

from truing.errors import DataError

__all__ = ["Seen"]

_IN_MEMORY = 100_000
_CACHE_KIB = 32 * 1024


class Seen:
    """The place where each key was seen first. Up to `in_memory` keys are held in memory, all others on disk."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._room = in_memory
        self._memory: dict[bytes, str] = {}
        self._table: sqlite3.Connection | None = None

    def first(self, key: bytes, where: str) -> str:
        """The place where the key was seen first: `where`, if it is new."""
        before = self.get(key)
        if before is not None:
            return before
        if self._room > 0:
            self._room -= 1
            self._memory[key] = where
        else:
            self._write(key, where)
        return where

    def again(self, key: bytes) -> bool:
        """Whether the key was seen before; from now on it was."""
        if self.get(key) is not None:
            return True
        self.first(key, "")
        return False

    def get(self, key: bytes) -> str | None:
        """The place where the key was seen first, or None."""
        before = self._memory.get(key)
        if before is None and self._table is not None:
            row = self._table.execute("SELECT place FROM seen WHERE key = ?", (key,)).fetchone()
            before = row[0] if row else None
        return before

    def _write(self, key: bytes, where: str) -> None:
        if self._table is None:
            self._table = _table()
            weakref.finalize(self, self._table.close)
        try:
            self._table.execute("INSERT INTO seen VALUES (?, ?)", (key, where))
        except sqlite3.OperationalError as error:
            raise DataError(
                f"what was read before cannot be kept on disk ({error})",
                where=where or None,
                remedy="Make room in the folder of temporary files, or name another one in TMPDIR.",
            ) from error


def _table() -> sqlite3.Connection:
    # A data base without a name is a temporary file of SQLite's own.
    table = sqlite3.connect("", isolation_level=None)
    for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
        table.execute(f"PRAGMA {setting}")
    table.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID")
    table.execute("BEGIN")
    return table

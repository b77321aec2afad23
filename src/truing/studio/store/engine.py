"""The data base behind a store: how it is opened, brought to this version, and what its errors mean.

SQLite: write-ahead log, `synchronous=FULL` (a commit has returned only when it is on the disk), writers take their
turn with BEGIN IMMEDIATE. PostgreSQL: its defaults, which say the same.
"""

from __future__ import annotations

import importlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from truing.studio.errors import StoreError
from truing.studio.store import migrations

__all__ = ["BUSY_SECONDS", "connect", "is_transient", "migrate", "place", "translated", "url_of"]

BUSY_SECONDS = 30.0
"""How long a writer waits for its turn."""
WRITES = "truing_writes"
_WAL_TRIES = 200
_MIGRATION_LOCK = 0x74727565


def url_of(source: str | Path) -> URL:
    """The URL of a data base; anything without `://` is a file of SQLite's."""
    given = str(source)
    if "://" not in given:
        return URL.create("sqlite", database=given)
    try:
        url = make_url(given)
    except ArgumentError:
        raise StoreError("it is no URL of a data base", where=_hidden(given), remedy=_FORMS) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"a store is SQLite or PostgreSQL, not {url.get_backend_name()}", remedy=_FORMS)
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError("a store in memory would lose every label", where=given, remedy=_FORMS)
    return url


_FORMS = "Give a file (studio.db), or postgresql://user@host/name."


def _hidden(given: str) -> str:
    """The URL without what may be a password."""
    head, _, tail = given.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if head else given


def place(url: URL) -> str:
    """How messages name it: the file, or the URL without its password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def connect(url: URL, *, create: bool) -> Engine:
    """An engine whose connections are set up. Nothing is read or written of what is inside."""
    if url.get_backend_name() == "sqlite":
        _check_file(Path(str(url.database)), create)
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=8, max_overflow=56)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return create_engine(url, pool_size=10, max_overflow=54, pool_pre_ping=True)
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(
            f"PostgreSQL needs a package that is not there ({error})",
            where=place(url),
            remedy="pip install 'truing[postgres]'",
        ) from None


def _check_file(path: Path, create: bool) -> None:
    where = str(path)
    if path.is_dir():
        raise StoreError("there is a folder of this name", where=where, remedy="Name a file.")
    if not path.exists() and not create:
        raise StoreError("no such file", where=where, remedy="`truing collect` makes a store.")
    if not path.parent.is_dir():
        raise StoreError("there is no such folder", where=str(path.parent), remedy="Make it first.")


def _set_up_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # or sqlite3 would begin transactions of its own
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves it in the disk's cache
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(conn: Connection) -> None:
    # A transaction that reads first and writes later fails at once where another wrote in between.
    conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get(WRITES) else "BEGIN")


# ── what its errors mean ─────────────────────────────────────────────────────────────────────────────────────────────

_SAFE = "Nothing of this was saved, and nothing that was saved before is lost."


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Errors of the data base as `StoreError`; a broken constraint stays what it is, for whoever expects it."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        found, remedy = _meaning(error)
        raise StoreError(found, where=where, remedy=remedy) from error


def _meaning(error: DBAPIError) -> tuple[str, str]:
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    state = str(getattr(error.orig, "sqlstate", None) or "")
    said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    if name == "SQLITE_FULL" or state == "53100":
        return "the disk is full", f"{_SAFE} Make room, then answer again."
    if name.startswith("SQLITE_IOERR"):
        return f"the disk cannot be read or written ({said})", f"{_SAFE} Is it full or failing? Then answer again."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another process has held it for {BUSY_SECONDS:.0f} s", f"{_SAFE} End that process, then try again."
    if name.startswith("SQLITE_READONLY"):
        return "it may not be written", f"{_SAFE} Give yourself the right to write the file and its folder."
    if name.startswith("SQLITE_CANTOPEN"):
        return "it cannot be opened", "Check the path and the rights on the file and its folder."
    if name == "SQLITE_NOTADB":
        return "it is no data base of SQLite's", "Name another file."
    if name.startswith("SQLITE_CORRUPT"):
        return f"the file is damaged ({said})", "Restore a copy; `sqlite3 FILE .recover` saves what can be read."
    if not name and not state:
        return f"the server cannot be reached ({said})", "Is it running, and is the URL right?"
    return f"the data base says: {said}", _SAFE


def is_transient(error: Exception) -> bool:
    """Whether the same transaction may succeed when it is tried again: two of them got in each other's way."""
    if isinstance(error, IntegrityError):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def migrate(engine: Engine) -> None:
    """Bring the tables to this version: all of it or nothing. A newer version is refused."""
    where = place(engine.url)
    with translated(where):
        if engine.dialect.name == "sqlite":
            _use_wal(engine, where)
        with engine.connect() as conn:
            if _version(conn, where) == migrations.HEAD:
                return
        with engine.execution_options(**{WRITES: True}).begin() as conn:
            if engine.dialect.name == "postgresql":
                conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            # Another process may have done it while this one waited.
            if _version(conn, where) != migrations.HEAD:
                _upgrade(conn)


def _use_wal(engine: Engine, where: str) -> None:
    """The mode stays with the file. Two processes that set it at once: one is told at once that it is locked."""
    for attempt in range(_WAL_TRIES):
        try:
            mode = _set_wal(engine)
            break
        except sqlite3.Error as error:
            # Outside SQLAlchemy's own calls its wrapping is ours to do.
            wrapped = DBAPIError(None, None, error)
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or attempt == _WAL_TRIES - 1:
                raise wrapped from error
            time.sleep(0.01)
    if mode != "wal":
        raise StoreError(
            f"SQLite cannot keep a write-ahead log there (its mode stays {mode})",
            where=where,
            remedy="Put the store on a local disk.",
        )


def _set_wal(engine: Engine) -> str:
    raw = engine.raw_connection()
    try:
        (mode,) = raw.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
        return str(mode)
    finally:
        raw.close()


def _version(conn: Connection, where: str) -> str | None:
    """The version of what is inside, None where nothing is."""
    names = inspect(conn).get_table_names()
    if "alembic_version" not in names:
        ours = {"projects", "items", "answers"}
        if names and (conn.dialect.name == "sqlite" or ours & set(names)):
            raise StoreError(
                f"it holds something else (tables: {', '.join(sorted(names)[:5])})",
                where=where,
                remedy="Name another file or data base: this one is no store of Truing's.",
            )
        return None
    row = conn.execute(text("SELECT version_num FROM alembic_version")).first()
    version = None if row is None else str(row[0])
    if version is not None and version not in migrations.VERSIONS:
        raise StoreError(
            f"it was written by a newer Truing (tables of version {version}, this one knows up to {migrations.HEAD})",
            where=where,
            remedy="Upgrade: pip install --upgrade truing. Nothing was changed.",
        )
    return version


def _upgrade(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option(
        "script_location", str(Path(str(importlib.import_module(migrations.__name__).__file__)).parent)
    )
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    command.upgrade(config, "head")

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from truing.group import Group
from truing.studio.errors import StoreError
from truing.studio.store import Store, migrations
from truing.studio.store import engine as engines
from truing.studio.store.tables import Base

Pairs = Callable[..., list[Group]]

# ── what is opened ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("mysql://host/db", "SQLite or PostgreSQL, not mysql"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("://", "no URL"),
        ("no/such/folder/studio.db", "no such folder"),
    ],
)
def test_what_cannot_be_a_store_is_refused(source: str, match: str) -> None:
    with pytest.raises(StoreError, match=match):
        Store.open(source)


def test_a_password_is_never_in_a_message() -> None:
    assert "hunter2" not in engines.place(engines.url_of("postgresql://ann:hunter2@db.example/studio"))
    with pytest.raises(StoreError) as caught:
        engines.url_of("post gres://ann:hunter2@db:not a port/studio")
    assert "hunter2" not in str(caught.value)


def test_a_folder_a_missing_file_and_a_text_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder of this name"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="no such file"):
        Store.open(tmp_path / "studio.db", create=False)
    assert not (tmp_path / "studio.db").exists()
    (tmp_path / "notes.db").write_text("not a data base at all, " * 50)
    with pytest.raises(StoreError, match="no data base of SQLite's"):
        Store.open(tmp_path / "notes.db")


def test_somebody_elses_data_base_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE photos (id)")
    raw.close()
    with pytest.raises(StoreError, match="something else .tables: photos"):
        Store.open(path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]
    raw.close()


def test_a_server_that_is_not_there_is_told_clearly() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="cannot be reached"):
        Store.open("postgresql://nobody@127.0.0.1:1/studio")


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_migrations_make_exactly_the_tables_that_the_code_declares(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with Store.open(url) as store, store.reading() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_versions_are_those_of_the_files() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == migrations.VERSIONS
    assert scripts.get_current_head() == migrations.HEAD


def test_a_store_of_a_newer_version_is_refused_with_a_clear_word(url: str) -> None:
    with Store.open(url) as store, store.writing() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Truing .tables of version 9999"):
        Store.open(url)


def test_opening_again_keeps_everything(url: str) -> None:
    with Store.open(url) as store:
        made = store.create_project("helpful", "pair")
    with Store.open(url) as store:
        assert store.projects() == [made]


def test_three_processes_that_open_a_new_store_at_once_all_succeed(url: str) -> None:
    code = "import sys; from truing.studio.store import Store; Store.open(sys.argv[1]).close()"
    running = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    with Store.open(url) as store:
        assert store.projects() == []


# ── what SQLite is told ──────────────────────────────────────────────────────────────────────────────────────────────


def test_sqlite_keeps_a_log_and_waits_for_the_disk(one: Store) -> None:
    with one.reading() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_reader_sees_one_moment_while_others_write(one: Store) -> None:
    with one.reading() as conn:
        before = conn.execute(text("SELECT count(*) FROM people")).scalar()
        one.add_person("Ann")
        assert conn.execute(text("SELECT count(*) FROM people")).scalar() == before == 0
    assert len(one.people()) == 1


def test_a_transaction_that_raises_changes_nothing(store: Store) -> None:
    ann, _ = store.add_person("Ann")

    def work(conn: Connection) -> None:
        conn.execute(text("UPDATE people SET name = 'x'"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.write(work)
    assert store.people() == [ann]


def test_a_store_that_another_process_holds_is_waited_for_and_then_told(
    one: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    with Store.open(tmp_path / "studio.db") as impatient:
        holder = sqlite3.connect(tmp_path / "studio.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process has held it"):
            impatient.add_person("Ann")
        holder.execute("ROLLBACK")
        holder.close()
        impatient.add_person("Ann")


# ── a full disk ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _fill(store: Store, pairs: Pairs) -> tuple[list[int], StoreError]:
    """Label until the disk is full: the answers that were acknowledged, and the error."""
    project = store.create_project("helpful", "pair", gold_share=0)
    store.add_items(project.id, pairs(100))
    ann, _ = store.add_person("Ann")
    _limit(store)
    acknowledged = []
    for number in range(100):
        try:
            task = store.next_task(project.id, ann.id)
            assert task is not None
            answer = {"choice": "first", "comment": "x" * 5000}
            acknowledged.append(store.submit(task.id, ann.id, answer, f"k{number}", 1).answer_id)
        except StoreError as error:
            return acknowledged, error
    raise AssertionError("the disk was never full")


def _limit(store: Store) -> None:
    """A dozen pages more, then SQLite reports a full disk."""
    store._engine.dispose()
    raw = store._engine.raw_connection()
    pages = raw.cursor().execute("PRAGMA page_count").fetchone()[0]
    raw.cursor().execute(f"PRAGMA max_page_count = {pages + 12}")
    raw.close()  # back into the pool: the limit is the connection's


def test_on_a_full_disk_the_error_is_clear_what_was_acknowledged_stays_and_room_mends_it(
    one: Store, pairs: Pairs, tmp_path: Path
) -> None:
    acknowledged, error = _fill(one, pairs)
    assert "the disk is full" in error.found
    assert "Nothing of this was saved" in str(error)
    assert len(acknowledged) >= 1
    _whole(one, acknowledged)
    one.close()
    with Store.open(tmp_path / "studio.db") as again:  # the limit was the connection's: there is room again
        _whole(again, acknowledged)
        task = again.next_task(1, 1)
        assert task is not None
        assert again.submit(task.id, 1, {"choice": "first"}, "after", 1).is_new


def _whole(store: Store, acknowledged: list[int]) -> None:
    with store.reading() as conn:
        assert conn.execute(text("SELECT id FROM answers ORDER BY id")).scalars().all() == acknowledged
        assert conn.execute(text("SELECT count(*) FROM keys")).scalar() == len(acknowledged)
        assert conn.execute(text("SELECT count(*) FROM events WHERE kind = 'answered'")).scalar() == len(acknowledged)
        assert conn.execute(text("SELECT sum(num_answers) FROM items")).scalar() == len(acknowledged)
        assert conn.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if os.geteuid() == 0
        else None
    )
    if made is None or made.returncode:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_real_full_disk_nothing_acknowledged_is_lost(small_disk: Path, pairs: Pairs, monkeypatch: Any) -> None:
    monkeypatch.setitem(globals(), "_limit", lambda store: None)
    path = small_disk / "studio.db"
    with Store.open(path) as store:
        (small_disk / "ballast").write_bytes(b"x" * 1_200_000)
        acknowledged, error = _fill(store, pairs)
        assert "full" in error.found or "cannot be read or written" in error.found
        (small_disk / "ballast").unlink()
        _whole(store, acknowledged)
        task = store.next_task(1, 1)
        assert task is not None
        assert store.submit(task.id, 1, {"choice": "first"}, "after", 1).is_new


def test_a_file_that_may_not_grow_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the write itself fails in the middle, as on a broken disk."""
    code = """
import resource, sys
from truing.group import Group, Prompt, Response
from truing.studio.errors import StoreError
from truing.studio.store import Store
store = Store.open(sys.argv[1])
project = store.create_project("helpful", "pair", gold_share=0)
store.add_items(project.id, [Group(Prompt.of(f"q{i}"), (Response.of("a"), Response.of("b"))) for i in range(100)])
ann, _ = store.add_person("Ann")
resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))
for number in range(100):
    try:
        task = store.next_task(project.id, ann.id)
        answer = {"choice": "first", "comment": "x" * 9000}
        print(store.submit(task.id, ann.id, answer, f"k{number}", 1).answer_id, flush=True)
    except StoreError as error:
        print("ERROR", error.found, flush=True)
        break
"""
    path = tmp_path / "studio.db"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    *acknowledged, last = done.stdout.splitlines()
    assert last.startswith("ERROR"), done.stderr
    assert "disk" in last
    assert len(acknowledged) >= 1
    with Store.open(path) as store:
        _whole(store, [int(answer) for answer in acknowledged])


# ── a right that is missing ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "studio.db"
    Store.open(path).close()
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="may not be written"), Store.open(path) as store:
            store.add_person("Ann")
    finally:
        tmp_path.chmod(0o700)

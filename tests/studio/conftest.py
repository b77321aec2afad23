"""Stores to label in: SQLite, and a real PostgreSQL where Debian's package is installed."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from truing.group import Group, Prompt, Response
from truing.studio.store import Person, Project, Store, Task


class Clock:
    """A time that moves when it is told to, and a microsecond whenever somebody looks."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time

    def wait(self, *, minutes: float) -> None:
        self.time += timedelta(minutes=minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pairs() -> Callable[[int], list[Group]]:
    """Different items of two responses; the second is one character longer."""

    def make(number: int, start: int = 0) -> list[Group]:
        return [
            Group(Prompt.of(f"question {i}"), (Response.of(f"yes {i}"), Response.of(f"nope {i}")))
            for i in range(start, start + number)
        ]

    return make


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL (without a data base's name) of a server on loopback that lives in a temporary folder."""
    found = shutil.which("pg_ctl") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed (no pg_ctl): Debian's package is called postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'truing[postgres]'")
    programs = Path(found).resolve().parent
    folder = tempfile.mkdtemp(prefix="truing-pg-")
    # PostgreSQL refuses to run as root.
    who = {}
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user `postgres`")
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)  # type: ignore[call-overload]

    port = _free_port()
    data = f"{folder}/data"
    run(str(programs / "initdb"), "-D", data, "-U", "truing", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run(str(programs / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "-t", "60", "start")
    try:
        yield f"postgresql+psycopg://truing@127.0.0.1:{port}"
    finally:
        run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: str, request: pytest.FixtureRequest) -> str:
    """An empty data base."""
    import psycopg

    name = f"t{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(f"{postgres.replace('+psycopg', '')}/postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    return f"{postgres}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be: both kinds of data base."""
    if request.param == "sqlite":
        return str(tmp_path / "studio.db")
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    """An empty store of each kind of data base."""
    with Store.open(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def one(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """An empty store in a file, for what does not depend on the data base."""
    with Store.open(tmp_path / "studio.db", clock=clock) as opened:
        yield opened


class Team:
    """A project of pairs and people who answer."""

    def __init__(self, store: Store, project: Project, people: list[Person]) -> None:
        self.store, self.project, self.people = store, project, people
        self._number = 0

    def next(self, person: int) -> Task | None:
        return self.store.next_task(self.project.id, self.people[person].id)

    def say(self, person: int, task: Task, choice: str = "first", seconds: float = 10.0) -> int:
        self._number += 1
        who = self.people[person].id
        return self.store.submit(task.id, who, {"choice": choice}, f"key {self._number}", seconds).answer_id

    def label(self, person: int, choice: str = "first", seconds: float = 10.0) -> Task | None:
        """Take the next task and answer it."""
        task = self.next(person)
        if task is not None:
            self.say(person, task, choice, seconds)
        return task


@pytest.fixture
def team(pairs: Callable[[int], list[Group]]) -> Callable[..., Team]:
    """`team(store, num_items, num_people, **settings)`."""

    def make(store: Store, num_items: int, num_people: int, **settings: object) -> Team:
        chosen = {"overlap_share": 0.0, "gold_share": 0.0, **settings}
        project = store.create_project("helpful", "pair", {}, **chosen)  # type: ignore[arg-type]
        if num_items:
            store.add_items(project.id, pairs(num_items))
        people = [store.add_person(f"person {i}")[0] for i in range(num_people)]
        return Team(store, project, people)

    return make

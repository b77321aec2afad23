"""Workers label through the store and are killed with SIGKILL in the middle: nothing acknowledged is lost or doubled.

A worker writes a line into its own file after each acknowledgement, and only then. A killed worker is started again,
and sends again, with the same keys, whatever it does not know to be saved.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from truing.group import Group
from truing.studio import exporting
from truing.studio.store import Store
from truing.studio.store.tables import Answers, Events, Items, Keys, Tasks

WORKER = """
import hashlib, json, os, sys, time
from truing.studio.store import Store

url, project, log, *people = sys.argv[1:]
store = Store.open(url)
out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
people = [int(person) for person in people]
while people:
    for person in list(people):
        task = store.next_task(int(project), person)
        if task is None:
            if store.why_none(int(project), person) == "done":
                people.remove(person)
            time.sleep(0.01)
            continue
        # What is said is decided by who and what, so that it can be checked afterwards.
        choice = ("first", "second", "tie")[hashlib.sha256(f"{person}/{task.item_id}".encode()).digest()[0] % 3]
        saved = store.submit(task.id, person, {"choice": choice}, f"{task.id}", 1.0)
        os.write(out, (json.dumps([person, task.item_id, saved.answer_id, choice]) + "\\n").encode())
"""


def _label(
    url: str, project_id: int, people: list[int], num_workers: int, num_kills: int, folder: Path, calm: float
) -> None:
    """Workers that share the people, `num_kills` times one of them killed and started again."""
    chance = random.Random(0)
    shares = [people[i::num_workers] for i in range(num_workers)]

    def start(worker: int) -> subprocess.Popen[bytes]:
        log = folder / f"acknowledged-{worker}.jsonl"
        command = [sys.executable, "-c", WORKER, url, str(project_id), str(log), *map(str, shares[worker])]
        return subprocess.Popen(command, stderr=subprocess.PIPE)

    running = [start(worker) for worker in range(num_workers)]
    try:
        for kill in range(num_kills):
            victim = kill % num_workers
            _wait_for_lines(folder / f"acknowledged-{victim}.jsonl", running[victim])
            time.sleep(chance.uniform(0, calm))
            if running[victim].poll() is None:
                os.kill(running[victim].pid, signal.SIGKILL)
                running[victim].wait()
                running[victim].stderr.close()  # type: ignore[union-attr]
                running[victim] = start(victim)
        for process in running:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said.decode()
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()


def _wait_for_lines(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the worker that runs now has labelled something more."""
    before = log.stat().st_size if log.exists() else 0
    for _ in range(3000):
        if process.poll() is not None or (log.exists() and log.stat().st_size > before):
            return
        time.sleep(0.01)
    raise AssertionError("the worker does nothing")


def _check(store: Store, project_id: int, folder: Path, num_labels: int) -> int:
    """Every acknowledged label is there as it was said, once; how many were acknowledged."""
    acknowledged: dict[int, tuple[int, int, str]] = {}
    for log in folder.glob("acknowledged-*.jsonl"):
        for line in log.read_text().splitlines():
            person, item, answer, choice = json.loads(line)
            assert acknowledged.setdefault(answer, (person, item, choice)) == (person, item, choice)
    with store.reading() as conn:
        stored = {
            row.id: (row.person_id, row.item_id, row.value["choice"])
            for row in conn.execute(select(Answers.id, Answers.person_id, Answers.item_id, Answers.value))
        }
        assert acknowledged.items() <= stored.items()
        assert len(stored) == num_labels
        assert max(Counter((person, item) for person, item, _ in stored.values()).values()) == 1
        assert conn.execute(select(func.count()).select_from(Keys)).scalar() == num_labels
        answered = select(func.count()).select_from(Events).where(Events.kind == "answered")
        assert conn.execute(answered).scalar() == num_labels
        assert conn.execute(select(func.count()).select_from(Tasks).where(Tasks.state != "answered")).scalar() == 0
        wrong = select(Items.id).where(
            (Items.missing != 0) | (Items.num_answers != Items.wanted), Items.project_id == project_id
        )
        assert conn.execute(wrong).all() == []
        if conn.dialect.name == "sqlite":
            assert conn.execute(text("PRAGMA integrity_check")).scalar() == "ok"
            assert conn.execute(text("PRAGMA foreign_key_check")).all() == []
    assert sum(len(group.feedback) for group in exporting.groups(store, project_id)) == num_labels
    return len(acknowledged)


def test_two_processes_one_killed_again_and_again_lose_and_double_nothing(
    url: str, pairs: Callable[[int], list[Group]], tmp_path: Path
) -> None:
    with Store.open(url) as store:
        project = store.create_project("helpful", "pair", overlap_share=0.5, overlap=2, gold_share=0)
        store.add_items(project.id, pairs(80))
        people = [store.add_person(f"p{i}")[0].id for i in range(4)]
        _label(url, project.id, people, num_workers=2, num_kills=3, folder=tmp_path, calm=0.05)
        with store.reading() as conn:
            wanted = conn.execute(select(func.sum(Items.wanted))).scalar_one()
        assert _check(store, project.id, tmp_path, wanted) >= wanted - 3


@pytest.mark.slow
def test_twenty_annotators_and_five_thousand_labels_survive_ten_kills(
    url: str, pairs: Callable[[int], list[Group]], tmp_path: Path
) -> None:
    with Store.open(url) as store:
        project = store.create_project("helpful", "pair", overlap_share=0.25, overlap=2, gold_share=0)
        store.add_items(project.id, pairs(4000))
        people = [store.add_person(f"p{i}")[0].id for i in range(20)]
        _label(url, project.id, people, num_workers=4, num_kills=10, folder=tmp_path, calm=1.0)
        assert _check(store, project.id, tmp_path, 5000) >= 4990

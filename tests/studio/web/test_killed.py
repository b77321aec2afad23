"""Twenty people at once, and the server killed again and again: nothing acknowledged is lost or there twice."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from truing.group import Group
from truing.studio.store import Store

PEOPLE = 20
LABELS = int(os.environ.get("TRUING_TEST_LABELS", "600"))
KILLS = int(os.environ.get("TRUING_TEST_KILLS", "4"))


class Server:
    """`truing studio`, which can be killed and started again at the same address."""

    def __init__(self, store: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "truing.cli", "studio", "--store", str(store), "--port", str(self.port)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = ""
        while "serving at" not in said:
            line = self._process.stdout.readline()
            assert line, said
            said += line

    def end(self, how: int) -> None:
        self._process.send_signal(how)
        self._process.communicate(timeout=30)


def label(server: Server, project: int, key: str, name: str, acknowledged: dict[str, int], left: list[int]) -> None:
    """What the page does: ask, answer, and send again with the same key until somebody says that it is saved."""

    def until(ask: Callable[[], Any]) -> Any:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                said = ask()
            except httpx2.TransportError:
                time.sleep(0.1)
                continue
            if said.status_code < 429:
                return said
            time.sleep(0.2)
        raise AssertionError("the server never came back")

    origin = {"origin": server.url}
    with httpx2.Client(base_url=server.url, timeout=20) as client:
        until(lambda: client.post("/sign-in", data={"key": key}, headers=origin))
        page = until(lambda: client.get(f"/projects/{project}")).text
        headers = origin | {"x-csrf-token": re.findall(r'name="csrf" content="(\w+)"', page)[0]}
        number = 0
        while left:
            left.pop()
            task = until(lambda: client.get(f"/api/projects/{project}/next")).json().get("task")
            if task is None:
                return
            body = {"answer": {"choice": "first"}, "key": f"{name}-{number}", "seconds": 1.0}
            said = until(lambda path=task["paths"]["submit"], body=body: client.post(path, json=body, headers=headers))
            assert said.status_code == 200, said.text
            acknowledged[f"{name}-{number}"] = task["id"]
            number += 1


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    tmp_path: Path, pairs: Callable[[int], list[Group]]
) -> None:
    file = tmp_path / "studio.db"
    with Store.open(file) as store:
        project = store.create_project("crowd", "pair", overlap_share=0, gold_share=0).id
        store.add_items(project, pairs(LABELS + PEOPLE))
        keys = {f"p{i}": store.add_person(f"p{i}")[1] for i in range(PEOPLE)}
    server = Server(file)
    acknowledged: dict[str, int] = {}
    left = list(range(LABELS))
    failures: list[str] = []

    def work(name: str, key: str) -> None:
        try:
            label(server, project, key, name, acknowledged, left)
        except Exception as error:
            failures.append(f"{name}: {error!r}")

    threads = [threading.Thread(target=work, args=each) for each in keys.items()]
    for thread in threads:
        thread.start()
    for kill in range(KILLS):
        while len(acknowledged) < LABELS * (kill + 1) // (KILLS + 1) and any(t.is_alive() for t in threads):
            time.sleep(0.01)
        server.end(signal.SIGKILL)
        server.start()
    for thread in threads:
        thread.join()
    server.end(signal.SIGINT)
    assert failures == []
    assert len(acknowledged) == LABELS
    with Store.open(file) as store:
        stored = [
            done.task_id
            for person in store.people()
            for done in store.recent(project, person.id, limit=LABELS)
            if done.state == "answered"
        ]
    assert sorted(stored) == sorted(set(stored)), "nothing twice"
    assert set(stored) == set(acknowledged.values()), "nothing lost, nothing made up"

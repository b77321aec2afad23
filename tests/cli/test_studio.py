"""`truing collect` and `truing studio`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.studio.store import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Four comparisons."""
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"q{i}", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_verb_prints_links_that_let_people_in(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "truing.cli", "collect", str(file), "--annotators", "ann", "--port", "0"]
    command += ["--store", str(tmp_path / "studio.db"), "--set", "margins=[]"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert server.stdout is not None
        said = ""
        while "serving at" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        assert said.startswith("pairs: 4 items (4 new), compare two")
        found = re.search(r"annotator ann +(http://127.0.0.1:\d+)/sign-in#(\S+)", said)
        assert found
        with urllib.request.urlopen(f"{found[1]}/sign-in") as page:
            assert page.status == 200
        with Store.open(tmp_path / "studio.db") as store:
            person = store.person_by_token(found[2])
            assert person
            assert person.name == "ann"
            assert store.projects()[0].settings["margins"] == []
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=15)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kind", "pears"], "there is no kind of task `pears`"),
        (["--samples", "4"], "nothing says of which model"),
        (["--kind", "red_team"], "there is no model to talk to"),
        (["--set", "margins=5"], "margins"),
        (["--guidelines", "nothing.md"], "nothing.md"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(
    truing: Callable[..., Any], file: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    truing("collect", file, "--port", "0", "--store", tmp_path / "s.db", *more).refused(message)

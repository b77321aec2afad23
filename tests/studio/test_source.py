"""`--data studio.db`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import truing
from truing import feedback
from truing.errors import DataError
from truing.feedback import readers
from truing.feedback.sources import check_source
from truing.group import Group, Prompt, Response
from truing.studio import exporting
from truing.studio.errors import StoreError
from truing.studio.store import Store

Team = Any


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("studio.db", True),
        ("a/b.sqlite3#helpful", True),
        ("studio.db#a project", True),
        ("studio.db#v1.jsonl", True),
        ("postgresql://u@h/db#helpful", True),
        ("postgresql+psycopg://u@h/db", True),
        ("sqlite:///studio.db", True),
        ("pairs.jsonl", False),
        ("owner/name", False),
        ("pairs.db.jsonl", False),
        ("pairs.db.jsonl.gz", False),
        ("https://x/studio", False),
    ],
)
def test_a_store_is_known_by_its_name(source: str, is_one: bool) -> None:
    reader = readers.find(source)
    assert (reader.value if reader else None) == ("truing.studio.source:rows" if is_one else None), (
        "pyproject.toml registers the store: install the package anew (pip install -e .)"
    )


def test_a_store_is_read_as_a_file_of_feedback(url: str, team: Callable[..., Team]) -> None:
    with Store.open(url) as store:
        t = team(store, 3, 1)
        t.label(0, "first")
        t.label(0, "second")
        exported = list(exporting.groups(store, t.project.id))
        check_source(url)
        assert feedback.read_all(url) == exported  # while it is open, and people label
        assert feedback.read_all(f"{url}#helpful") == exported
        assert feedback.sniff(url).name == "group"
        (where, _), *_ = feedback.located(url)
        assert where.endswith("#helpful: item 1")


def test_which_project_is_meant_must_be_clear(one: Store, tmp_path: Path, team: Callable[..., Team]) -> None:
    path = tmp_path / "studio.db"
    with pytest.raises(StoreError, match="no project"):
        feedback.read_all(path)
    t = team(one, 1, 1)
    with pytest.raises(DataError, match="nothing is labelled"):
        feedback.read_all(path)
    t.label(0)
    one.create_project("honest", "pair")
    with pytest.raises(
        StoreError, match=r"several projects: helpful, honest\s+Name one after a #: .*studio.db#helpful"
    ):
        feedback.read_all(path)
    with pytest.raises(StoreError, match="Did you mean 'helpful'"):
        feedback.read_all(f"{path}#helpfull")
    assert len(feedback.read_all(f"{path}#helpful")) == 1


def test_a_store_that_is_not_there_is_not_made_by_reading_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        check_source(tmp_path / "studio.db")
    with pytest.raises(StoreError, match="no such file"):
        feedback.read_all(tmp_path / "studio.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reward_model_is_trained_on_a_store_by_its_name(
    one: Store, toy_folder: Path, tmp_path: Path, pairs: Callable[..., list[Group]]
) -> None:
    from typer.testing import CliRunner

    from truing.cli import app
    from truing.record import read_record

    project = one.create_project("helpful", "pair", overlap_share=0, gold_share=0)
    texts = [Response.of("it was good"), Response.of("it was bad")]
    one.add_items(project.id, [Group(Prompt.of(f"moon {i}"), tuple(texts[:: (-1) ** i])) for i in range(24)])
    ann, _ = one.add_person("Ann")
    while (task := one.next_task(project.id, ann.id)) is not None:
        choice = "first" if task.group.responses[0].text == "it was good" else "second"
        one.submit(task.id, ann.id, {"choice": choice}, f"{task.id}", 1)
    command = [
        "train", "reward", "--model", toy_folder, "--data", f"{tmp_path}/studio.db#helpful", "--out", tmp_path / "run",
        "--set", "batch_size=8", "--set", "epochs=4", "--set", "update.learning_rate=0.003",
        "--set", "validation_share=0.2",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    assert read_record(tmp_path / "run")[-1]["eval/rewards/accuracies"] == 1.0


def test_without_the_packages_of_the_studio_a_store_names_them_and_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hi"}\n')
    (tmp_path / "studio.db").write_bytes(b"")
    code = (
        "import sys\n"
        "sys.modules['sqlalchemy'] = None\n"  # as if it were not installed
        "from truing import feedback\n"
        "from truing.errors import DataError\n"
        "assert len(feedback.read_all('prompts.jsonl')) == 1\n"
        "assert 'truing.studio' not in sys.modules\n"
        "try: feedback.read_all('studio.db')\n"
        "except DataError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "studio.db: a store needs a package that is not there (sqlalchemy)",
        "  pip install 'truing[studio]'",
    ]


def test_nobody_but_the_command_line_imports_the_studio() -> None:
    source = Path(truing.__file__).parent
    others = [p for p in source.rglob("*.py") if p.relative_to(source).parts[0] not in ("studio", "cli")]
    assert len(others) > 100
    for path in others:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            assert not any(f"{module}{name}.".startswith("truing.studio.") for name in names), path

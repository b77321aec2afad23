from __future__ import annotations

import json
from pathlib import Path

import pytest

from truing.errors import DataError
from truing.group import Ranking
from truing.studio import exporting
from truing.studio.importing import import_file
from truing.studio.store import Store


def _lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ROW = {"prompt": "why?", "chosen": "because", "rejected": "no idea"}
GOLD = {**ROW, "prompt": "how?", "gold": {"choice": "first", "reason": "it answers"}}


def test_rows_become_items_and_the_column_gold_their_known_answer(one: Store, tmp_path: Path) -> None:
    project = one.create_project("helpful", "pair")
    path = _lines(tmp_path / "pairs.jsonl", ROW, GOLD)
    made = import_file(one, project.id, path)
    assert (made.num_read, made.num_added) == (2, 2)
    assert one.num_items(project.id) == {"work": 1, "gold": 1}
    again = import_file(one, project.id, path)
    assert (again.num_read, again.num_added) == (2, 0)
    assert "gold" not in one.item(2).columns


def test_a_file_can_be_the_test(one: Store, tmp_path: Path) -> None:
    project = one.create_project("helpful", "pair")
    import_file(one, project.id, _lines(tmp_path / "test.jsonl", GOLD), qualification=True)
    assert one.num_items(project.id) == {"qualification": 1}
    with pytest.raises(DataError, match=r"pairs.jsonl:1: it has no known answer"):
        import_file(one, project.id, _lines(tmp_path / "pairs.jsonl", ROW), qualification=True)


def test_what_was_said_before_is_kept_or_dropped_as_wanted(one: Store, tmp_path: Path) -> None:
    path = _lines(tmp_path / "pairs.jsonl", {**ROW, "annotator_id": "old"})
    ann, _ = one.add_person("Ann")
    for name, keep in (("kept", True), ("dropped", False)):
        project = one.create_project(name, "pair", gold_share=0)
        import_file(one, project.id, path, keep_feedback=keep)
        task = one.next_task(project.id, ann.id)
        assert task is not None
        one.submit(task.id, ann.id, {"choice": "second"}, name, 1)
    said = {
        p.name: [f.annotator_id for g in exporting.groups(one, p.id) for f in g.said(Ranking)] for p in one.projects()
    }
    assert said == {"kept": ["old", "Ann"], "dropped": ["Ann"]}


def test_errors_name_file_and_line(one: Store, tmp_path: Path) -> None:
    project = one.create_project("helpful", "pair")
    cases = {
        "it has 1 responses": {"prompt": "q", "completion": "a"},
        "column `gold` holds 'first'": {**ROW, "gold": "first"},
        "its known answer: `choice`": {**ROW, "gold": {"choice": "left"}},
    }
    for match, row in cases.items():
        with pytest.raises(DataError, match=rf"bad.jsonl:1: {match}"):
            import_file(one, project.id, _lines(tmp_path / "bad.jsonl", row))
    assert one.num_items(project.id) == {}


def test_bad_rows_can_be_skipped(one: Store, tmp_path: Path) -> None:
    project = one.create_project("helpful", "pair")
    made = import_file(one, project.id, _lines(tmp_path / "pairs.jsonl", ROW, {**ROW, "prompt": 3}), skip_bad=True)
    assert (made.num_added, len(made.skipped)) == (1, 1)

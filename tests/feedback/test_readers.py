"""Readers that rooms and installed packages register."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from truing.errors import DataError, RegistryError
from truing.feedback import readers
from truing.feedback.sources import check_source, rows

Install = Callable[[str, str, str], None]
SHELF = """
def rows(source):
    place, _, name = source.partition("#")
    yield f"{place}: shelf {name}", {"text": source}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A package as an installer leaves it: a module and its metadata in a folder on the path."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def install(name: str, code: str, kinds: str) -> None:
        (folder / f"{name}.py").write_text(code)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = "".join(f"{kind} = {name}:rows\n" for kind in kinds.split())
        (info / "entry_points.txt").write_text(f"[truing.sources]\n{points}")

    return install


def test_an_installed_package_reads_its_endings_and_its_schemes(install: Install, tmp_path: Path) -> None:
    install("shelf_for_this_test", SHELF, ".shelf shelf")
    for source in ("b.shelf#top", "shelf://host/b#top", "shelf+fast://host/b#top"):
        assert list(rows(source)) == [(f"{source.removesuffix('#top')}: shelf top", {"text": source})]
    (tmp_path / "b.shelf").write_text("")
    check_source(f"{tmp_path}/b.shelf#top")
    check_source("shelf://host/b")
    with pytest.raises(DataError, match="no such file"):
        check_source(f"{tmp_path}/c.shelf#top")


def test_endings_of_files_and_folders_stay_what_they_are(install: Install, tmp_path: Path) -> None:
    install("greedy_for_this_test", SHELF, ".jsonl .gz .folder")
    (tmp_path / "a.folder").mkdir()
    for source in ("a.jsonl", "a.jsonl.gz", "a.csv", str(tmp_path / "a.folder"), "owner/name", "owner/name:train"):
        assert readers.find(source) is None
    assert readers.find("b.folder") is not None


def test_a_source_of_two_packages_is_refused(install: Install) -> None:
    install("one_for_this_test", SHELF, ".shelf")
    install("other_for_this_test", SHELF, ".shelf")
    with pytest.raises(RegistryError, match=r"several packages read `.shelf`: one_for_this_test, other_for_this_test"):
        list(rows("b.shelf"))


def test_a_reader_that_cannot_be_imported_names_its_package(install: Install) -> None:
    install("torn_for_this_test", "1 / 0", ".torn")
    with pytest.raises(RegistryError, match=r"installed package `torn_for_this_test`.*\.torn.*ZeroDivisionError"):
        list(rows("b.torn"))


def test_a_store_without_rows_is_an_error(install: Install) -> None:
    install("bare_for_this_test", "def rows(source):\n    return iter(())\n", ".bare")
    with pytest.raises(DataError, match="holds no rows"):
        list(rows("b.bare"))

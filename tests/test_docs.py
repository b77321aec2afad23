"""Documentation that is read off the code says what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages, made anew in a process of their own: other tests register functions in this one."""
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, ROOT / "docs" / "generate.py", folder], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["cli.md", "settings.md", "streams.md", "feedback.md"])
def test_generated_pages_are_fresh(pages: Path, name: str) -> None:
    fresh = (pages / name).read_text(encoding="utf-8")
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == fresh, "stale: run `make docs`"


def test_every_setting_of_a_recipe_is_explained(pages: Path) -> None:
    page = (pages / "settings.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(.*?)` .*\|  \|$", page, re.MULTILINE) == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("design/*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []

"""docs/ppo.md names files and tests: they have to exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "ppo.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| detail ")
]


def test_every_detail_names_who_does_it_and_what_holds_it() -> None:
    assert len(ROWS) > 25
    for detail, source, done, held in ROWS:
        assert source in ("N", "N+", "N, N+", "ours"), detail
        assert re.search(r"`src/truing/\S+`", done), detail
        assert re.search(r"`tests/\S+::test_\w+`", held), detail


def test_every_file_and_test_on_the_page_exists() -> None:
    missing = [path for path in re.findall(r"`(src/\S+?)`", PAGE) if not (ROOT / path).is_file()]
    for file, name in re.findall(r"`(tests/\S+?)::(\w+)`", PAGE):
        if not (ROOT / file).is_file() or f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8"):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_setting_on_the_page_exists() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for section, name in re.findall(r"`(rollouts|reward_kl|critic|update|combination)\.(\w+)`", PAGE):
        assert f"`{name}`" in settings or f"`{section}.{name}`" in settings, f"{section}.{name}"

from pathlib import Path

import pytest

from truing.caches import cache_folder


def test_the_cache_is_where_people_look_for_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUING_CACHE", "/mine")
    assert cache_folder() == Path("/mine")
    monkeypatch.delenv("TRUING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/truing")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert cache_folder() == Path("/home/ada/.cache/truing")

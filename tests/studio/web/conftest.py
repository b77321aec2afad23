"""A studio with one project of pairs, and browsers (without a screen, or real) that are signed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from truing.group import Group
from truing.studio.store import Store
from truing.studio.web.app import create_app

ORIGIN = "http://127.0.0.1:8000"
PEOPLE = {"ann": "annotator", "ben": "annotator", "rita": "reviewer", "ada": "admin"}


@dataclass
class House:
    """A store, its application, and everybody's key."""

    store: Store
    app: Starlette
    project: int
    keys: dict[str, str]


class Browser:
    """What a browser does: keeps the cookie, says where a POST comes from, sends the page's CSRF token."""

    def __init__(self, app: Starlette, key: str | None = None) -> None:
        self.client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        self.csrf = ""
        if key is not None:
            said = self.client.post("/sign-in", data={"key": key}, headers={"origin": ORIGIN})
            assert said.status_code == 303, said.text
            found = re.search(r'name="csrf" content="(\w+)"', self.page("/"))
            assert found, "every page of somebody signed in carries the token"
            self.csrf = found[1]

    def page(self, path: str, status: int = 200) -> str:
        said = self.client.get(path, follow_redirects=True)
        assert said.status_code == status, said.text
        return str(said.text)

    def get(self, path: str, status: int = 200) -> Any:
        said = self.client.get(path)
        assert said.status_code == status, said.text
        return said.json()

    def post(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        sent = {"origin": ORIGIN, "x-csrf-token": self.csrf} | headers
        said = self.client.post(path, json=body, headers=sent)
        assert said.status_code == status, said.text
        return said.json()

    def form(self, path: str, **fields: str) -> Any:
        return self.client.post(path, data={"csrf": self.csrf} | fields, headers={"origin": ORIGIN})


@pytest.fixture
def house(tmp_path: Path, pairs: Callable[[int], list[Group]]) -> Iterator[House]:
    """Ten pairs, all judged by two people."""
    with Store.open(tmp_path / "studio.db") as store:
        project = store.create_project("helpful", "pair", {}, "# Rules\n\nBe kind.", overlap_share=1.0, gold_share=0)
        store.add_items(project.id, pairs(10))
        keys = {name: store.add_person(name, role)[1] for name, role in PEOPLE.items()}
        yield House(store, create_app(store), project.id, keys)


@pytest.fixture
def browser(house: House) -> Callable[[str], Browser]:
    """A browser in which somebody is signed in."""
    return lambda name: Browser(house.app, house.keys[name])


@pytest.fixture
def signed_in() -> type[Browser]:
    """`signed_in(app, key)` is a browser in which the owner of the key is signed in."""
    return Browser


@pytest.fixture
def hostile() -> list[str]:
    """Answers that try to be more than text. What they do if they succeed: set `window.pwned`, or ask evil.example."""
    return [
        "<script>window.pwned=1</script>",
        "<img src=x onerror=window.pwned=1>",
        "<svg onload=window.pwned=1><animate onbegin=window.pwned=1 attributeName=x dur=1s></svg>",
        "[click](javascript:window.pwned=1) [click](JaVaScRiPt:window.pwned=1) [a](java&#115;cript:window.pwned=1)",
        "[click](data:text/html,<script>window.pwned=1</script>) <javascript:window.pwned=1>",
        "![pixel](https://evil.example/x.png) ![pixel][p]\n\n[p]: https://evil.example/y.png",
        "<style>body{display:none}@import url(https://evil.example/a.css)</style>",
        '<div style="position:fixed;inset:0;background:red">over everything</div>',
        '<link rel=stylesheet href="https://evil.example/b.css"><iframe src="https://evil.example"></iframe>',
        '"><script>window.pwned=1</script>',
        "</textarea></script></template><script>window.pwned=1</script>",
        "`</code><script>window.pwned=1</script>`\n\n```html\n</code></pre><script>window.pwned=1</script>\n```",
        r"$\text{<script>window.pwned=1</script>}$ $\href{javascript:window.pwned=1}{x}$ $\style{display:none}{x}$",
        r"$\def\a{aa}\def\b{\a\a}\b$ $\color{url(https://evil.example)}x$",
        "[x](https://ok.example \"' onmouseover='window.pwned=1\")",
        "[rel](/sign-out) [other](//evil.example) [frag](#top)",
        "safe \u202egnp.exe\u202c \u2066x\u2069 \u200b \U000e0041",
        "| a |\n|:-:|\n| <img src=x onerror=window.pwned=1> |",
        "{{ 7 * 7 }} {% include 'x' %} ${7*7}",
    ]

"""Who gets in, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from truing.studio.web.app import create_app
from truing.studio.web.security import CSP, MAX_BODY, Forbidden, Limiter

ORIGIN = "http://127.0.0.1:8000"


def addresses(app: Any) -> list[tuple[str, str]]:
    """(method, address) of everything that is served, with 1 for every number."""
    found = []
    for route in app.routes:
        if isinstance(route, Route):
            path = re.sub(r"\{\w+(:int)?\}", "1", route.path)
            found += [(method, path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def client(app: Any, **headers: str) -> TestClient:
    return TestClient(app, base_url=ORIGIN, follow_redirects=False, headers=headers)


def test_without_signing_in_nothing_is_shown(house: Any) -> None:
    outside = client(house.app)
    seen = 0
    for method, path in addresses(house.app):
        if path == "/sign-in":
            continue
        said = outside.request(method, path, headers={"origin": ORIGIN})
        assert said.status_code in (303, 401), (method, path)
        assert "helpful" not in said.text
        assert "question" not in said.text
        seen += 1
    assert seen > 20
    assert outside.get("/nothing/here").status_code == 404


def test_a_wrong_key_lets_nobody_in_and_ten_tries_are_enough(house: Any) -> None:
    outside = client(house.app, origin=ORIGIN)
    said = [outside.post("/sign-in", data={"key": f"guess {i}"}).status_code for i in range(12)]
    assert said[:10] == [403] * 10
    assert 429 in said[10:]


def test_the_cookie_cannot_be_read_by_a_script_nor_sent_from_elsewhere(house: Any) -> None:
    outside = client(house.app, origin=ORIGIN)
    said = outside.post("/sign-in", data={"key": f"{ORIGIN}/sign-in#{house.keys['ann']}"})
    cookie = said.headers["set-cookie"]
    assert said.status_code == 303
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "truing_8000=" in cookie


def test_over_https_the_cookie_is_secure(house: Any) -> None:
    app = create_app(house.store, url="https://label.example.org")
    outside = TestClient(app, base_url="https://label.example.org", follow_redirects=False)
    said = outside.post("/sign-in", data={"key": house.keys["ann"]}, headers={"origin": "https://label.example.org"})
    assert "Secure" in said.headers["set-cookie"]


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://127.0.0.1:8001", "http://localhost:8000"]
)
def test_a_write_from_elsewhere_is_refused(house: Any, browser: Callable[[str], Any], origin: str | None) -> None:
    ann = browser("ann")
    task = house.store.next_task(house.project, house.store.person_named("ann").id)
    headers = {"x-csrf-token": ann.csrf} | ({"origin": origin} if origin else {})
    body = {"answer": {"choice": "tie"}, "key": "k", "seconds": 1.0}
    said = ann.client.post(f"/api/tasks/{task.id}/answer", json=body, headers=headers)
    assert said.status_code == 403
    assert house.store.task(task.id, house.store.person_named("ann").id).answer is None
    assert ann.client.post("/sign-in", data={"key": "x"}, headers={"origin": origin or "null"}).status_code == 403


def test_a_write_without_the_token_is_refused(house: Any, browser: Callable[[str], Any]) -> None:
    ann, ben = browser("ann"), browser("ben")
    task = house.store.next_task(house.project, house.store.person_named("ann").id)
    body = {"answer": {"choice": "tie"}, "key": "k", "seconds": 1.0}
    for token in ("", "0" * 64, ben.csrf, "é"):
        headers = {"origin": ORIGIN, "x-csrf-token": token.encode()}
        assert ann.client.post(f"/api/tasks/{task.id}/answer", json=body, headers=headers).status_code == 403
    ann.post(f"/api/tasks/{task.id}/answer", body)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("192.168.1.7:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("evil.example:8000", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
        ("[", 400),
    ],
)
def test_only_our_own_host_names_are_answered(house: Any, host: str, status: int) -> None:
    assert client(house.app).get("/sign-in", headers={"host": host}).status_code == status


def test_every_answer_carries_the_security_headers(house: Any, browser: Callable[[str], Any]) -> None:
    ann = browser("ann")
    for path in ("/sign-in", "/", f"/projects/{house.project}", "/nothing", f"/api/projects/{house.project}/next"):
        said = ann.client.get(path)
        assert said.headers["content-security-policy"] == CSP
        assert said.headers["x-content-type-options"] == "nosniff"
        assert said.headers["referrer-policy"] == "same-origin"
        assert said.headers["cache-control"] == "no-store"
    assert "'unsafe" not in CSP


def test_static_files_are_kept_and_nothing_else_is_served(house: Any) -> None:
    outside = client(house.app)
    mount = next(route.path for route in house.app.routes if isinstance(route, Mount))
    said = outside.get(f"{mount}/studio.css")
    assert said.status_code == 200
    assert "immutable" in said.headers["cache-control"]
    for path in ("/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/kinds/../../app.py"):
        assert outside.get(mount + path).status_code == 404


ROLES = [
    ("/people", "admin"),
    ("/projects/1/dashboard", "admin"),
    ("/projects/1/coverage", "admin"),
    ("/projects/1/export/group", "admin"),
    ("/projects/1/review", "reviewer"),
    ("/items/1", "reviewer"),
    ("/items/1/history", "reviewer"),
    ("/projects/1", "annotator"),
    ("/projects/1/answers", "annotator"),
]


@pytest.mark.parametrize(("path", "role"), ROLES)
@pytest.mark.parametrize("name", ["ann", "rita", "ada"])
def test_a_page_is_for_its_role_and_those_above(
    house: Any, browser: Callable[[str], Any], path: str, role: str, name: str
) -> None:
    order = ["annotator", "reviewer", "admin"]
    mine = {"ann": "annotator", "rita": "reviewer", "ada": "admin"}[name]
    allowed = order.index(mine) >= order.index(role)
    # 422: there is nothing to export yet.
    assert browser(name).client.get(path).status_code in ((200, 422) if allowed else (403,))


def test_nobody_reads_or_answers_the_task_of_another(house: Any, browser: Callable[[str], Any]) -> None:
    task = house.store.next_task(house.project, house.store.person_named("ann").id)
    ben = browser("ben")
    body = {"answer": {"choice": "tie"}, "key": "k", "seconds": 1.0, "value": {}, "reason": ""}
    for what in ("answer", "draft"):
        ben.post(f"/api/tasks/{task.id}/{what}", body, status=422)
    ben.get(f"/api/tasks/{task.id}/text/prompt.0/0", status=422)
    assert ben.client.get(f"/tasks/{task.id}").status_code == 404


def test_a_new_link_ends_the_old_session_at_once(house: Any, browser: Callable[[str], Any]) -> None:
    ann = browser("ann")
    house.store.new_token(house.store.person_named("ann").id)
    assert ann.client.get(f"/projects/{house.project}").status_code == 303
    ann.post(f"/api/projects/{house.project}/undo", {}, status=401)


def test_signing_out_forgets_the_cookie(house: Any, browser: Callable[[str], Any]) -> None:
    ann = browser("ann")
    assert ann.form("/sign-out").status_code == 303
    assert ann.client.get("/").headers["location"] == "/sign-in"


def test_too_many_writes_are_told_to_wait(house: Any) -> None:
    slow = create_app(house.store, writes_per_second=1.0)
    ann = client(slow, origin=ORIGIN)
    ann.post("/sign-in", data={"key": house.keys["ann"]})
    token = re.search(r'name="csrf" content="(\w+)"', ann.get(f"/projects/{house.project}").text)
    assert token
    said = [ann.post("/api/projects/1/undo", json={}, headers={"x-csrf-token": token[1]}) for _ in range(6)]
    assert [each.status_code for each in said[:4]] == [200] * 4
    assert said[-1].status_code == 429
    assert int(said[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"a" * (MAX_BODY + 1), "application/json", 413),
    ],
)
def test_what_is_no_json_object_is_refused(
    house: Any, browser: Callable[[str], Any], content: bytes, kind: str, status: int
) -> None:
    ann = browser("ann")
    headers = {"origin": ORIGIN, "x-csrf-token": ann.csrf, "content-type": kind}
    said = ann.client.post(f"/api/projects/{house.project}/undo", content=content, headers=headers)
    assert said.status_code == status


def test_a_bucket_empties_and_fills_again() -> None:
    limiter = Limiter(rate=2.0, burst=3)
    for _ in range(3):
        limiter.take("ann", now=10.0)
    with pytest.raises(Forbidden, match="Too many") as caught:
        limiter.take("ann", now=10.0)
    assert caught.value.retry_after == 1
    limiter.take("ben", now=10.0)
    limiter.take("ann", now=10.5)
    with pytest.raises(Forbidden):
        limiter.take("ann", now=10.5)

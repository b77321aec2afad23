"""Every endpoint stands behind one of these: it knows who asks, and whether they may.

    @page("annotator")    GET, answers with a page
    @data("annotator")    GET, answers with JSON
    @action("annotator")  POST of JSON, answers with JSON
    @form("admin")        POST of a form, answers with a redirect or a page

The functions behind them are synchronous and run in a thread, as the store is.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from truing.errors import TruingError
from truing.group import Message
from truing.studio.errors import AnswerError, StoreError
from truing.studio.store import Person, Store
from truing.studio.web.pages import Pages
from truing.studio.web.security import Forbidden, Limiter, check_write, csrf_token, session_of

__all__ = ["Role", "Studio", "Talk", "action", "data", "form", "known", "page", "studio"]

Talk = Callable[[Sequence[Message]], str]
"""A model to talk to: the conversation so far, the last turn the person's, and what it says to that."""
Role = Literal["annotator", "reviewer", "admin"]
Endpoint = Callable[[Request], Awaitable[Response]]
_ROLES = ("annotator", "reviewer", "admin")


@dataclass
class Studio:
    """What the endpoints work with."""

    store: Store
    pages: Pages
    talk: Talk | None
    url: str
    """The public address, for personal links."""
    writes: Limiter
    doors: Limiter = field(default_factory=lambda: Limiter(rate=0.2, burst=10))
    """Attempts to sign in, by address."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody known."""

    request: Request
    studio: Studio
    person: Person
    session: str

    @property
    def store(self) -> Store:
        return self.studio.store

    def number(self, name: str) -> int:
        """A number in the path."""
        found = self.request.path_params[name]
        assert isinstance(found, int), f"route without a number {name}"
        # SQLite's and PostgreSQL's integers end here.
        if found >= 2**31:
            raise Forbidden(404, "There is no such page.")
        return found

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page that knows who sees it."""
        csrf = csrf_token(self.session)
        return self.studio.pages.page(template, status, person=self.person, csrf=csrf, **values)


def studio(request: Request) -> Studio:
    """The application's studio."""
    found = request.app.state.studio
    assert isinstance(found, Studio), "made by create_app"
    return found


async def known(request: Request, role: Role = "annotator") -> Visit:
    """Who asks; `Forbidden` for nobody, and for somebody without the role."""
    session = session_of(request)
    here = studio(request)
    person = await run_in_threadpool(here.store.person_by_token, session) if session else None
    if session is None or person is None:
        raise Forbidden(401, "Sign in first: open your personal link.")
    if _ROLES.index(person.role) < _ROLES.index(role):
        raise Forbidden(403, f"This page is for {'reviewers and admins' if role == 'reviewer' else 'admins'}.")
    return Visit(request, here, person, session)


def page(role: Role) -> Callable[[Callable[[Visit], Response]], Endpoint]:
    """A page for people with this role."""

    def wrap(function: Callable[[Visit], Response]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            visit = await known(request, role)
            try:
                return await run_in_threadpool(function, visit)
            except TruingError as error:
                status = 503 if isinstance(error, StoreError) else 404 if isinstance(error, AnswerError) else 422
                return visit.page("error.html", status, found=error.found, remedy=error.remedy)

        return endpoint

    return wrap


def data(role: Role) -> Callable[[Callable[[Visit], Mapping[str, Any]]], Endpoint]:
    """JSON for our own script."""

    def wrap(function: Callable[[Visit], Mapping[str, Any]]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await _answered(function, await known(request, role))

        return endpoint

    return wrap


def action(role: Role) -> Callable[[Callable[[Visit, Mapping[str, Any]], Mapping[str, Any]]], Endpoint]:
    """A change asked for by our own script."""

    def wrap(function: Callable[[Visit, Mapping[str, Any]], Mapping[str, Any]]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            visit = await known(request, role)
            check_write(request, visit.session, request.headers.get("x-csrf-token"))
            visit.studio.writes.take(f"person {visit.person.id}")
            body = await _json(request)
            return await _answered(lambda visit: function(visit, body), visit)

        return endpoint

    return wrap


def form(role: Role) -> Callable[[Callable[[Visit, FormData], Response]], Endpoint]:
    """A change asked for by a form."""

    def wrap(function: Callable[[Visit, FormData], Response]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            visit = await known(request, role)
            async with request.form(max_files=0, max_fields=50) as fields:
                given = fields.get("csrf")
                check_write(request, visit.session, given if isinstance(given, str) else None)
                visit.studio.writes.take(f"person {visit.person.id}")
                try:
                    return await run_in_threadpool(function, visit, fields)
                except TruingError as error:
                    status = 503 if isinstance(error, StoreError) else 422
                    return visit.page("error.html", status, found=error.found, remedy=error.remedy)

        return endpoint

    return wrap


async def _answered(function: Callable[[Visit], Mapping[str, Any]], visit: Visit) -> Response:
    try:
        return JSONResponse(await run_in_threadpool(function, visit))
    except TruingError as error:
        # 503: the script keeps the answer and tries again. 422: it shows the answer again, with the reason.
        status = 503 if isinstance(error, StoreError) else 422
        remedy = f" {error.remedy}" if error.remedy else ""
        return JSONResponse({"error": f"{error.found[:1].upper()}{error.found[1:]}.{remedy}"}, status)


async def _json(request: Request) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Forbidden(415, "A JSON object is expected.")
    try:
        body = json.loads(await request.body(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Forbidden(400, "This is no JSON.") from None
    except ClientDisconnect:
        # A page that was closed while it saved a draft. Nobody hears this.
        raise Forbidden(400, "The request ended early.") from None
    if not isinstance(body, dict):
        raise Forbidden(400, "A JSON object is expected.")
    return body


def _no_number(text: str) -> Any:
    raise ValueError(text)

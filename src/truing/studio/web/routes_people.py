"""People and their links."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.responses import Response
from starlette.routing import Route

from truing.studio.errors import AnswerError
from truing.studio.web.guard import Visit, form, page

__all__ = ["ROUTES", "link"]


def link(url: str, token: str) -> str:
    """A personal link. The key stands behind `#`, so that no browser sends it anywhere by itself."""
    return f"{url}/sign-in#{token}"


def _shown(visit: Visit, *, name: str | None = None, made: str | None = None) -> Response:
    projects = visit.store.projects()
    states = {p.id: [(q.name, visit.store.member_state(q.id, p.id)) for q in projects] for p in visit.store.people()}
    return visit.page("people.html", people=visit.store.people(), states=states, here="people", name=name, made=made)


@page("admin")
def people(visit: Visit) -> Response:
    return _shown(visit)


@form("admin")
def add(visit: Visit, fields: FormData) -> Response:
    person, token = visit.store.add_person(_text(fields, "name"), _text(fields, "role"), by=visit.person.id)
    # Not behind a redirect: the link can be shown this once only.
    return _shown(visit, name=person.name, made=link(visit.studio.url, token))


@form("admin")
def change(visit: Visit, fields: FormData) -> Response:
    person = visit.store.person(visit.number("person"))
    match _text(fields, "do"):
        case "link":
            token = visit.store.new_token(person.id, by=visit.person.id)
            return _shown(visit, name=person.name, made=link(visit.studio.url, token))
        case "pause":
            visit.store.pause(person.id, _text(fields, "why") or "paused by an admin", by=visit.person.id)
        case "resume":
            visit.store.resume(person.id, by=visit.person.id)
        case other:
            raise AnswerError(f"nothing is known of {other[:40]!r}")
    return _shown(visit)


def _text(fields: FormData, name: str) -> str:
    found = fields.get(name, "")
    return found if isinstance(found, str) else ""


ROUTES = [
    Route("/people", people),
    Route("/people", add, methods=["POST"]),
    Route("/people/{person:int}", change, methods=["POST"]),
]

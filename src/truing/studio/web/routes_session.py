"""Coming in with a personal link, and going out.

The link is `/sign-in#KEY`. What stands behind `#` is not sent by a browser: a small script puts it into the form and
posts it. So the key is in no log, no history and no Referer, and a robot that previews links learns nothing.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from truing.studio.web.guard import Visit, form, studio
from truing.studio.web.security import check_origin, clear_session, session_of, set_session

__all__ = ["ROUTES"]


async def sign_in_page(request: Request) -> Response:
    here = studio(request)
    session = session_of(request)
    person = await run_in_threadpool(here.store.person_by_token, session) if session else None
    if person is not None:
        return RedirectResponse("/", 303)
    return here.pages.page("sign_in.html", failed=False)


async def sign_in(request: Request) -> Response:
    # No session, so no CSRF token; the Origin keeps others from signing a victim in as themselves.
    check_origin(request)
    here = studio(request)
    here.doors.take(request.client.host if request.client else "?")
    async with request.form(max_files=0, max_fields=5) as fields:
        given = fields.get("key")
    # Somebody may paste the whole link.
    key = given.strip().rpartition("#")[2] if isinstance(given, str) else ""
    person = await run_in_threadpool(here.store.person_by_token, key) if 0 < len(key) <= 200 else None
    if person is None:
        return here.pages.page("sign_in.html", 403, failed=True)
    response = RedirectResponse("/", 303)
    set_session(request, response, key)
    return response


@form("annotator")
def sign_out(visit: Visit, fields: object) -> Response:
    response = RedirectResponse("/sign-in", 303)
    clear_session(visit.request, response)
    return response


ROUTES = [
    Route("/sign-in", sign_in_page),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]

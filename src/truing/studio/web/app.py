"""The web application: one object, made from a store.

    app = create_app(Store.open("studio.db"))

Everything it serves comes from this package; it asks no other host for anything.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from truing.studio.store import Store
from truing.studio.web import routes_admin, routes_review, routes_session, routes_work
from truing.studio.web.guard import Studio, Talk
from truing.studio.web.pages import STATIC, Files, Pages
from truing.studio.web.security import Forbidden, Hosts, Limiter, SafeHeaders

__all__ = ["create_app"]


def create_app(
    store: Store,
    *,
    talk: Talk | None = None,
    url: str = "http://127.0.0.1:8000",
    writes_per_second: float = 40.0,
) -> Starlette:
    """The studio over `store`.

    `url` is its public address: personal links begin with it, and its host is answered besides localhost and bare
    addresses. `talk` is the model of red-team conversations. Nobody may write more often than `writes_per_second`.
    """
    pages = Pages()
    app = Starlette(
        routes=[
            Mount(pages.static, Files(directory=STATIC)),
            *routes_session.ROUTES,
            *routes_work.ROUTES,
            *routes_review.ROUTES,
            *routes_admin.ROUTES,
        ],
        middleware=[Middleware(SafeHeaders), Middleware(Hosts, allowed=[urlsplit(url).hostname or "localhost"])],
        exception_handlers={Forbidden: _refused, HTTPException: _no_such_page},
    )
    app.state.studio = Studio(store, pages, talk, url.rstrip("/"), Limiter(writes_per_second, 4 * writes_per_second))
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Forbidden), "registered for it"
    return error.response(request)


async def _no_such_page(request: Request, error: Exception) -> Response:
    # Without a word of what there is: whoever asks may not be signed in.
    assert isinstance(error, HTTPException), "registered for it"
    why = {404: "There is no such page.", 405: "That cannot be done here."}.get(error.status_code, "It did not work.")
    return Forbidden(error.status_code, why).response(request)

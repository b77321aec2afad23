"""Who may ask for what, checked before any page is made.

    Hosts        the name in the address has to be ours (DNS rebinding)
    Headers      content security policy and its companions on every answer; no body above `MAX_BODY`
    Guard        session -> person; without one nothing is shown; writes need our Origin, a CSRF token and a rate

The session cookie is the personal key itself: HttpOnly, SameSite=Strict, looked up by its hash each time, so that a new
link ends every session at once. The CSRF token is derived from it, so nothing has to be kept.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "CSP",
    "MAX_BODY",
    "Forbidden",
    "Hosts",
    "Limiter",
    "SafeHeaders",
    "check_write",
    "clear_session",
    "csrf_token",
    "session_of",
    "set_session",
]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
MAX_BODY = 4 * 2**20
"""Bytes of the largest request: an edit of a long answer, not an upload."""

_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it a form's Origin is `null`, and we check the Origin.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-dns-prefetch-control": "off",
    "x-robots-tag": "noindex, nofollow",
}


class Forbidden(Exception):
    """A request that is refused, with the status and the word to say."""

    def __init__(self, status: int, why: str, *, retry_after: int | None = None) -> None:
        self.status, self.why, self.retry_after = status, why, retry_after
        super().__init__(why)

    def response(self, request: Request) -> Response:
        """For a script as JSON, for a person as text."""
        headers = {"retry-after": str(self.retry_after)} if self.retry_after else {}
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": self.why}, self.status, headers)
        if self.status == 401 and request.method == "GET":
            return RedirectResponse("/sign-in", 303)
        return PlainTextResponse(self.why + "\n", self.status, headers)


class Hosts:
    """Refuses a Host that is not ours: a page of another site whose name was turned to this address would have our
    cookies' origin. A bare IP address cannot be turned, so it always passes."""

    def __init__(self, app: ASGIApp, allowed: Collection[str] = ()) -> None:
        self.app, self.allowed = app, {"localhost", *(name.lower() for name in allowed)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            values = Headers(scope=scope).getlist("host")
            if len(values) != 1 or not self._is_ours(values[0]):
                refusal = PlainTextResponse("This host name is not served here.\n", 400)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.allowed:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class SafeHeaders:
    """Puts the security headers on every answer and refuses bodies above `MAX_BODY`, also those that do not say how
    long they are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        taken = 0
        started = False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > MAX_BODY:
                    raise Forbidden(413, f"more than {MAX_BODY >> 20} MB")
            return message

        async def safe(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # Static files are named with their content's hash; everything else belongs to one person.
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self.app(scope, counted, safe)
        except Forbidden as refusal:
            if started:
                raise
            await refusal.response(Request(scope))(scope, receive, safe)


def _cookie(connection: HTTPConnection) -> str:
    # Cookies do not know ports: two studios on one machine would sign each other out.
    return f"truing_{connection.url.port or (443 if connection.url.scheme == 'https' else 80)}"


def session_of(connection: HTTPConnection) -> str | None:
    """The personal key this browser came with."""
    return connection.cookies.get(_cookie(connection))


def set_session(request: Request, response: Response, token: str) -> None:
    """Sign in."""
    response.set_cookie(
        _cookie(request),
        token,
        max_age=60 * 24 * 3600,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def clear_session(request: Request, response: Response) -> None:
    """Sign out."""
    response.delete_cookie(_cookie(request), path="/", httponly=True, samesite="strict")


def csrf_token(session: str) -> str:
    """What our own pages know of a session and others do not: the cookie is HttpOnly and this is not the cookie."""
    return hmac.new(session.encode(), b"csrf", hashlib.sha256).hexdigest()


def check_origin(request: Request) -> None:
    """A write has to come from a page of ours. Every browser says where a POST comes from."""
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.url.netloc:
        raise Forbidden(403, "This request came from another site.")


def check_write(request: Request, session: str, given: str | None) -> None:
    """Origin and CSRF token."""
    check_origin(request)
    if given is None or not hmac.compare_digest(given.encode(), csrf_token(session).encode()):
        raise Forbidden(403, "This page is out of date. Reload it and try again.")


@dataclass
class Limiter:
    """A bucket for each key: `burst` at once, `rate` a second from then on. The longest unused are forgotten."""

    rate: float
    burst: float
    size: int = 10_000
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, key: str, now: float | None = None) -> None:
        """`Forbidden` (429) where the bucket is empty."""
        now = time.monotonic() if now is None else now
        left, at = self._buckets.pop(key, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.rate)
        ok = left >= 1
        self._buckets[key] = (left - 1 if ok else left, now)
        while len(self._buckets) > self.size:
            self._buckets.popitem(last=False)
        if not ok:
            wait = max(1, round((1 - left) / self.rate + 0.5))
            raise Forbidden(429, f"Too many requests. Try again in {wait} s.", retry_after=wait)

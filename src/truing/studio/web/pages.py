"""Templates and static files: both come with the package, and nothing else is served."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

__all__ = ["STATIC", "Files", "Pages"]

_HERE = Path(__file__).parent
STATIC = _HERE / "static"


def version() -> str:
    """Eight hex digits that change when any static file does: the files may be kept for ever."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(STATIC).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


class Files(StaticFiles):
    """Static files that a browser asks for once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


class Pages:
    """Renders templates. What a template does not know is an error, what it is given is escaped."""

    def __init__(self) -> None:
        self.static = f"/static/{version()}"
        self._jinja = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        defaults = {"static": self.static, "person": None, "project": None, "here": "", "csrf": ""}
        self._jinja.globals.update(defaults)

    def text(self, name: str, /, **values: Any) -> str:
        """A template as text."""
        return self._jinja.get_template(name).render(**values)

    def page(self, name: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        """A template as a page."""
        return HTMLResponse(self.text(name, **values), status)

"""Runs the studio until it is stopped."""

from __future__ import annotations

import ipaddress
import socket

from truing.errors import UserError
from truing.studio.store import Store
from truing.studio.web.app import create_app
from truing.studio.web.guard import Talk

__all__ = ["address", "listen", "serve"]


def listen(host: str, port: int) -> socket.socket:
    """The socket that will be served, before anything else is done: a port that is taken is found out at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Named TCP, or asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an acknowledgement.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise UserError(
            f"{host} is no address here ({error})", where="--host", remedy="127.0.0.1, or 0.0.0.0."
        ) from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        # From here on whoever opens a link waits and is not refused.
        found.listen(2048)
    except OSError as error:
        found.close()
        raise UserError(
            f"port {port} of {host} cannot be used ({error.strerror})", where="--port", remedy="Choose another --port."
        ) from None
    return found


def address(listening: socket.socket) -> str:
    """The address for people on this machine."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(store: Store, listening: socket.socket, url: str, talk: Talk | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished."""
    import uvicorn

    config = uvicorn.Config(
        create_app(store, talk=talk, url=url),
        log_level="warning",
        # Addresses of annotators are nobody's business.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listening])

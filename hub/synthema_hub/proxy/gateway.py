"""The sites' entrance: TLS, two doors, no third. Knows nothing of what passes through.

``/v1/fleet/*`` leads to Flower's SuperLink, ``/sites/*`` to the federation service. The SuperLink's other APIs, which
start runs and hand out their contents, and the service's other routes share ports with these: out of reach from here.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import ssl
from pathlib import Path

from aiohttp import web

from synthema_core.cli.processes import die_with_parent
from synthema_hub.certificates import Certificates
from synthema_hub.proxy.forwarding import Forwarder, Unreachable, end_to_end, serve_application

#: Spelled plainly: nothing that one server could read as another path than the next one does.
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._~-]*)+")
_FLEET, _SITES = "/v1/fleet/", "/sites/"
_LARGEST_BYTES = {_FLEET: 1 << 30, _SITES: 8 << 20}


def door(path: str) -> str | None:
    """`/v1/fleet/` or `/sites/`, whichever the path as written on the wire goes through; None for any other."""
    if not _PLAIN_PATH.fullmatch(path):
        return None
    return next((prefix for prefix in (_FLEET, _SITES) if path.startswith(prefix)), None)


class Gateway:
    """Passes on what goes through a door.

    Parameters
    ----------
    superlink, service
        Origins (scheme, host, port) behind the doors.
    """

    def __init__(self, forwarder: Forwarder, superlink: str, service: str) -> None:
        self._forwarder = forwarder
        self._origins = {_FLEET: superlink, _SITES: service}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        prefix = door(request.raw_path.partition("?")[0])
        if prefix is None:
            return _say(404, "not-found", "The gateway leads nowhere else.")
        if (request.content_length or 0) > _LARGEST_BYTES[prefix]:
            return _say(413, "invalid-input", "The message is too large.")
        if request.can_read_body and request.content_length is None:  # in pieces: without a limit
            return _say(411, "invalid-input", "The message must say its length.")
        headers = end_to_end(request.headers)
        for name in [name for name in headers if name.lower().startswith(("x-forwarded", "forwarded"))]:
            del headers[name]
        try:
            return await self._forwarder.pass_on(request, self._origins[prefix], headers)
        except Unreachable:
            return _say(503, "unavailable", "The hub is starting or has stopped; try again.")


def _say(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": code, "message": message, "hint": ""}, status=status)


def make_gateway(certificates: Certificates, superlink: str, service: str) -> web.Application:
    """The gateway in front of these origins; the SuperLink's certificate must be the federation's."""
    forwarder = Forwarder(ssl.create_default_context(cafile=str(certificates.ca)))
    application = web.Application(client_max_size=max(_LARGEST_BYTES.values()))
    application.cleanup_ctx.append(forwarder.context())
    application.router.add_route("*", "/{path:.*}", Gateway(forwarder, superlink, service).handle)
    return application


def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


async def _serve(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.certificates
    certificates = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    application = make_gateway(certificates, arguments.superlink, arguments.service)
    await serve_application(application, arguments.host, arguments.port, server_context(certificates))
    await asyncio.Event().wait()


def main() -> None:
    """Entry point of ``python -m synthema_hub.proxy.gateway``, started by `synthema hub serve`."""
    die_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    for origin in ("--superlink", "--service"):
        parser.add_argument(origin, required=True)
    parser.add_argument("--certificates", type=Path, required=True)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()

"""The browsers' entrance: JupyterHub's proxy from Python packages alone, with the API of configurable-http-proxy.

The package of that name from PyPI holds server-sent events back until they end, and the original needs Node. In a
cluster the JupyterHub chart brings its own.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web
from multidict import CIMultiDict
from yarl import URL

from synthema_core.cli.processes import die_with_parent
from synthema_hub.proxy.forwarding import Forwarder, Unreachable, end_to_end, serve_application

TOKEN_VARIABLE = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105
_LARGEST_BYTES = 1 << 30
Socket = web.WebSocketResponse | ClientWebSocketResponse


class Routes:
    """Which origin answers which paths: the longest prefix of whole segments decides."""

    def __init__(self) -> None:
        self._routes: dict[str, dict[str, Any]] = {}

    def put(self, path: str, route: dict[str, Any]) -> None:
        self._routes[_spelled(path)] = {**route, "last_activity": _now()}

    def drop(self, path: str) -> bool:
        return self._routes.pop(_spelled(path), None) is not None

    def all(self) -> dict[str, dict[str, Any]]:
        return self._routes

    def origin(self, path: str) -> str | None:
        """Scheme, host and port for that path; notes the activity, by which JupyterHub knows idle notebooks."""
        prefix = _spelled(path)
        while prefix not in self._routes:
            if prefix == "/":
                return None
            prefix = prefix.rpartition("/")[0] or "/"
        route = self._routes[prefix]
        route["last_activity"] = _now()
        target = urlsplit(str(route["target"]))
        return f"{target.scheme}://{target.netloc}"


def _spelled(path: str) -> str:
    return "/" + unquote(path).strip("/")


def _now() -> str:
    return datetime.now(UTC).isoformat()


def make_api(routes: Routes, token: str) -> web.Application:
    """By which JupyterHub, and nobody else, sets the routes."""

    @web.middleware
    async def guarded(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"token {token}".encode()):
            raise web.HTTPForbidden
        return await handler(request)

    async def show(_: web.Request) -> web.Response:
        return web.json_response(routes.all())

    async def put(request: web.Request) -> web.Response:
        routes.put(request.match_info.get("path", ""), await request.json())
        return web.Response(status=201)

    async def drop(request: web.Request) -> web.Response:
        return web.Response(status=204 if routes.drop(request.match_info["path"]) else 404)

    application = web.Application(middlewares=[guarded])
    application.add_routes(
        [
            web.get("/api/routes", show),
            web.get("/api/routes/", show),
            web.post("/api/routes", put),
            web.post("/api/routes/{path:.*}", put),
            web.delete("/api/routes/{path:.*}", drop),
        ]
    )
    return application


class Entrance:
    """Passes requests and web sockets on.

    Parameters
    ----------
    errors
        Where JupyterHub draws pages for 404 and 503; empty for plain ones.
    """

    def __init__(self, routes: Routes, forwarder: Forwarder, errors: str) -> None:
        self._routes, self._forwarder, self._errors = routes, forwarder, errors.rstrip("/")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        origin = self._routes.origin(request.rel_url.raw_path)
        if origin is None:
            return await self._error(request, 404)
        headers = _headers_for(request)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._socket(request, origin, headers)
            return await self._forwarder.pass_on(request, origin, headers)
        except Unreachable:
            return await self._error(request, 503)

    async def _error(self, request: web.Request, status: int) -> web.Response:
        if self._errors:
            try:
                async with self._forwarder.session.get(
                    f"{self._errors}/{status}", params={"url": request.path}
                ) as page:
                    return web.Response(status=status, body=await page.read(), content_type="text/html")
            except ClientError:
                pass
        return web.Response(status=status, text="Nothing answers here (yet); try again in a moment.")

    async def _socket(self, request: web.Request, origin: str, headers: CIMultiDict[str]) -> web.StreamResponse:
        for name in [name for name in headers if name.lower().startswith("sec-websocket")]:
            del headers[name]
        asked = request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in asked.split(",") if name.strip()]
        url = URL(origin + request.rel_url.raw_path_qs, encoded=True)
        try:
            inner = await self._forwarder.session.ws_connect(url, headers=headers, protocols=protocols, max_msg_size=0)
        except WSServerHandshakeError as error:
            return web.Response(status=error.status)
        except (ClientError, TimeoutError) as error:
            raise Unreachable(origin) from error
        outer = web.WebSocketResponse(protocols=[inner.protocol] if inner.protocol else (), max_msg_size=0)
        await outer.prepare(request)
        ways = [asyncio.ensure_future(_pump(inner, outer)), asyncio.ensure_future(_pump(outer, inner))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(inner.close(), outer.close(), *ways, return_exceptions=True)
        return outer


def _headers_for(request: web.Request) -> CIMultiDict[str]:
    headers = end_to_end(request.headers)
    came_by = [*headers.popall("X-Forwarded-For", []), request.remote or ""]
    headers["X-Forwarded-For"] = ",".join(came_by)
    headers.setdefault("X-Forwarded-Proto", request.scheme)
    headers.setdefault("X-Forwarded-Host", request.host)
    return headers


async def _pump(source: Socket, sink: Socket) -> None:
    """Every message one way, until that side closes."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)


def make_entrance(routes: Routes, errors: str) -> web.Application:
    forwarder = Forwarder()
    application = web.Application(client_max_size=_LARGEST_BYTES)
    application.cleanup_ctx.append(forwarder.context())
    application.router.add_route("*", "/{path:.*}", Entrance(routes, forwarder, errors).handle)
    return application


async def _serve(arguments: argparse.Namespace, token: str) -> None:
    routes = Routes()
    await serve_application(make_api(routes, token), arguments.api_ip or "127.0.0.1", arguments.api_port)
    entrance = make_entrance(routes, arguments.error_target or "")
    await serve_application(entrance, arguments.ip or "127.0.0.1", arguments.port)
    await asyncio.Event().wait()


def main() -> None:
    """Entry point of ``python -m synthema_hub.proxy.browser``, started by JupyterHub with its proxy's options."""
    die_with_parent()
    parser = argparse.ArgumentParser()
    for text in ("--ip", "--api-ip", "--error-target"):
        parser.add_argument(text)
    for number in ("--port", "--api-port"):
        parser.add_argument(number, type=int, required=True)
    arguments, _ = parser.parse_known_args()
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise SystemExit(f"{TOKEN_VARIABLE} is not set: anybody could set routes.")
    asyncio.run(_serve(arguments, token))


if __name__ == "__main__":
    main()

"""Passing one HTTP exchange on, as a stream in both directions."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import ClientConnectionError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

#: About one connection, not about the message (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
_CONNECT_SECONDS = 10.0
_ADDED_BY_CLIENT = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Unreachable(Exception):
    """What is behind the entrance does not answer; nothing has been sent to the caller yet."""


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that are about the message itself."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | named)


class Forwarder:
    """Holds the connections to what is behind an entrance.

    Parameters
    ----------
    trusted
        For https behind the entrance: who vouches for it.
    """

    def __init__(self, trusted: ssl.SSLContext | None = None) -> None:
        self._trusted = trusted
        self._session: ClientSession | None = None

    @property
    def session(self) -> ClientSession:
        assert self._session is not None, "the entrance has not started"
        return self._session

    def context(self) -> Callable[[web.Application], AsyncIterator[None]]:
        """For an application's `cleanup_ctx`: connections live as long as it does."""

        async def life(_: web.Application) -> AsyncIterator[None]:
            self._session = ClientSession(
                auto_decompress=False,
                cookie_jar=DummyCookieJar(),
                connector=TCPConnector(limit=0, ssl=self._trusted or True),
                timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                skip_auto_headers=_ADDED_BY_CLIENT,
            )
            yield
            await self._session.close()

        return life

    async def pass_on(self, request: web.Request, origin: str, headers: CIMultiDict[str]) -> web.StreamResponse:
        """The answer of `origin` (scheme, host, port) to the request, with its path as it was written.

        Raises
        ------
        Unreachable
            If the origin does not answer.
        """
        url = URL(origin + request.rel_url.raw_path_qs, encoded=True)
        body = request.content if request.can_read_body else None
        try:
            upstream = await self.session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            )
        except (ClientConnectionError, TimeoutError) as error:
            raise Unreachable(origin) from error
        async with upstream:
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            response.headers.extend(end_to_end(upstream.headers))
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response


async def serve_application(
    application: web.Application, host: str, port: int, trusted: ssl.SSLContext | None = None
) -> None:
    """Listen; returns once it does."""
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=trusted).start()

"""The hub's two entrances as real servers on this machine, with small real servers behind them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientSession, WSMsgType, WSServerHandshakeError, web
from yarl import URL

from synthema_core.cli.processes import free_port
from synthema_hub.certificates import Certificates, ensure
from synthema_hub.proxy.browser import Routes, make_api, make_entrance
from synthema_hub.proxy.gateway import door, make_gateway, server_context

pytestmark = pytest.mark.anyio
TOKEN = "t0ken"
SOON_SECONDS = 5.0
FIVE_MEGABYTES = bytes(range(256)) * (5 * 4096)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def listening(application: web.Application, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port on which it answers while the block runs."""
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@dataclass
class Behind:
    """A server behind an entrance, which says what reached it; `more` lets its stream of events go on."""

    name: str = "behind"
    more: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    closes: list[int | None] = field(default_factory=list)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_get("/{any:.*}/events", self._events)
        application.router.add_get("/{any:.*}/socket", self._socket)
        application.router.add_get("/{any:.*}/closed-socket", self._closed_socket)
        application.router.add_get("/{any:.*}/cut", self._cut)
        application.router.add_route("*", "/{any:.*}/mirror", self._mirror)
        application.router.add_route("*", "/{any:.*}", self._tell)
        return application

    async def _tell(self, request: web.Request) -> web.Response:
        body = await request.read()
        told = {
            "name": self.name,
            "method": request.method,
            "path": request.raw_path,
            "headers": [[name.lower(), value] for name, value in request.headers.items()],
            "body": sha256(body).hexdigest(),
        }
        headers = {"X-Kept": "yes", "Keep-Alive": "timeout=9", "Proxy-Authenticate": "Basic", "X-Private": "no"}
        return web.json_response(told, status=418, headers={**headers, "Connection": "X-Private"})

    async def _mirror(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"Set-Cookie": "a=b"}, status=201)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(b"data: first\n\n")
            await self.more.wait()
            await response.write(b"data: second\n\n")
        finally:
            self.left.set()
        return response

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("v1.kernel.websocket.jupyter.org",), max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "bye":
                break
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data.upper())
            else:
                await socket.send_bytes(message.data[::-1])
        await socket.close()
        self.closes.append(socket.close_code)
        self.left.set()
        return socket

    async def _closed_socket(self, _: web.Request) -> web.Response:
        return web.Response(status=403)


def headers_of(told: dict[str, Any]) -> dict[str, str]:
    return dict(told["headers"])


async def exchange(port: int, text: str, tls: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Status and body of the answer to these very bytes; the connection is closed by the other side or by time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(text.replace("\n", "\r\n").encode("latin-1"))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON_SECONDS)
        length = [line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
        body = await asyncio.wait_for(reader.readexactly(int(length[0]) if length else 0), SOON_SECONDS)
        return int(head.split()[1]), body
    finally:
        writer.close()


# The browsers' entrance.


@dataclass
class Door:
    """An entrance with one server behind ``/behind``, and a browser in front."""

    port: int
    routes: Routes
    behind: Behind
    browser: ClientSession

    def url(self, path: str) -> URL:
        return URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)


@pytest.fixture
async def entrance() -> AsyncIterator[Door]:
    behind, routes = Behind(), Routes()
    async with (
        listening(behind.application()) as inner,
        listening(make_entrance(routes, "")) as outer,
        ClientSession(auto_decompress=False) as browser,
    ):
        routes.put("/behind", {"target": f"http://127.0.0.1:{inner}"})
        yield Door(outer, routes, behind, browser)


async def test_a_request_passes_as_it_was_written(entrance: Door) -> None:
    path = "/behind/a%2Fb/../c%20d/?x=1&x=%2F&y"
    sent = {"X-Own": "1", "Cookie": "a=b", "Authorization": "Bearer t"}
    async with entrance.browser.put(entrance.url(path), data=b"body", headers=sent) as response:
        assert (response.status, response.headers["X-Kept"]) == (418, "yes")
        told = await response.json()
    assert (told["method"], told["path"], told["body"]) == ("PUT", path, sha256(b"body").hexdigest())
    assert sent.items() <= {name.title(): value for name, value in headers_of(told).items()}.items()
    assert headers_of(told)["host"] == f"127.0.0.1:{entrance.port}"


async def test_headers_about_one_connection_are_not_passed_on(entrance: Door) -> None:
    status, body = await exchange(
        entrance.port,
        "GET /behind/x HTTP/1.1\nHost: hub\nConnection: close, X-Private\nX-Private: secret\nKeep-Alive: timeout=9\n"
        "Proxy-Authorization: Basic eDp5\nTE: trailers\nX-Own: 1\n\n",
    )
    assert status == 418
    received = headers_of(json.loads(body))
    assert received["x-own"] == "1"
    assert not received.keys() & {"x-private", "keep-alive", "proxy-authorization", "te", "user-agent", "accept"}
    async with entrance.browser.get(entrance.url("/behind/x")) as response:
        assert not response.headers.keys() & {"X-Private", "Keep-Alive", "Proxy-Authenticate"}


async def test_what_is_behind_learns_who_came_by(entrance: Door) -> None:
    async with entrance.browser.get(entrance.url("/behind/x"), headers={"X-Forwarded-For": "10.0.0.1"}) as response:
        received = headers_of(await response.json())
    assert received["x-forwarded-for"] == "10.0.0.1,127.0.0.1"
    assert (received["x-forwarded-proto"], received["x-forwarded-host"]) == ("http", f"127.0.0.1:{entrance.port}")


async def test_events_arrive_before_their_stream_ends(entrance: Door) -> None:
    async with entrance.browser.get(entrance.url("/behind/events")) as response:
        first = await asyncio.wait_for(response.content.readuntil(b"\n\n"), SOON_SECONDS)
        assert first == b"data: first\n\n"
        entrance.behind.more.set()
        assert await asyncio.wait_for(response.content.read(), SOON_SECONDS) == b"data: second\n\n"


async def test_a_listener_who_leaves_is_noticed_behind(entrance: Door) -> None:
    response = await entrance.browser.get(entrance.url("/behind/events"))
    await response.content.readuntil(b"\n\n")
    response.close()
    await asyncio.wait_for(entrance.behind.left.wait(), SOON_SECONDS)


@pytest.mark.parametrize("head", ["Content-Length: 0\n", ""])
async def test_a_post_without_a_body_passes(entrance: Door, head: str) -> None:
    status, body = await exchange(entrance.port, f"POST /behind/x HTTP/1.1\nHost: hub\n{head}\n")
    told = json.loads(body)
    assert (status, told["method"], told["body"]) == (418, "POST", sha256(b"").hexdigest())
    assert "chunked" not in headers_of(told).get("transfer-encoding", "")


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_large_bodies_pass_both_ways(entrance: Door, in_pieces: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(FIVE_MEGABYTES), 1 << 20):
            yield FIVE_MEGABYTES[start : start + (1 << 20)]

    data: Any = pieces() if in_pieces else BytesIO(FIVE_MEGABYTES)
    async with entrance.browser.post(entrance.url("/behind/mirror"), data=data) as response:
        assert response.status == 201
        assert response.headers["Set-Cookie"] == "a=b"
        assert sha256(await response.read()).digest() == sha256(FIVE_MEGABYTES).digest()


async def test_an_answer_that_breaks_off_does_not_look_whole(entrance: Door) -> None:
    with pytest.raises((ClientConnectionError, ClientPayloadError)):
        async with entrance.browser.get(entrance.url("/behind/cut")) as response:
            await response.read()


async def test_a_web_socket_passes_both_ways(entrance: Door) -> None:
    protocol = "v1.kernel.websocket.jupyter.org"
    async with entrance.browser.ws_connect(
        entrance.url("/behind/socket"), protocols=["other", protocol], max_msg_size=0
    ) as socket:
        assert socket.protocol == protocol
        await socket.send_str("hello")
        assert (await socket.receive(SOON_SECONDS)).data == "HELLO"
        await socket.send_bytes(FIVE_MEGABYTES)
        assert (await socket.receive(SOON_SECONDS)).data == FIVE_MEGABYTES[::-1]
    await asyncio.wait_for(entrance.behind.left.wait(), SOON_SECONDS)
    assert entrance.behind.closes == [1000], "closing reaches the other side"


async def test_a_web_socket_that_is_closed_behind_is_closed_in_front(entrance: Door) -> None:
    async with entrance.browser.ws_connect(entrance.url("/behind/socket")) as socket:
        await socket.send_str("bye")
        message = await socket.receive(SOON_SECONDS)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1000)


@pytest.mark.parametrize(("path", "status"), [("/behind/closed-socket", 403), ("/away/x", 503), ("/nowhere", 404)])
async def test_a_web_socket_that_cannot_be_opened_says_why(entrance: Door, path: str, status: int) -> None:
    entrance.routes.put("/away", {"target": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(WSServerHandshakeError) as refused:
        await entrance.browser.ws_connect(entrance.url(path))
    assert refused.value.status == status


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/behindhand", 404), ("/away/x", 503)])
async def test_where_nothing_answers_a_plain_text_says_so(entrance: Door, path: str, status: int) -> None:
    entrance.routes.put("/away", {"target": f"http://127.0.0.1:{free_port()}"})
    async with entrance.browser.get(entrance.url(path)) as response:
        assert (response.status, await response.text()) == (
            status,
            "Nothing answers here (yet); try again in a moment.",
        )


async def test_jupyterhub_draws_the_page_for_what_is_missing() -> None:
    async def drawn(request: web.Request) -> web.Response:
        return web.Response(text=f"<h1>{request.match_info['status']} {request.query['url']}</h1>")

    pages = web.Application()
    pages.router.add_get("/hub/error/{status}", drawn)
    async with listening(pages) as drawing:
        entrance = make_entrance(Routes(), f"http://127.0.0.1:{drawing}/hub/error/")
        async with (
            listening(entrance) as port,
            ClientSession() as browser,
            browser.get(f"http://127.0.0.1:{port}/user/eve") as page,
        ):
            assert (page.status, page.content_type) == (404, "text/html")
            assert await page.text() == "<h1>404 /user/eve</h1>"


def test_the_longest_prefix_of_whole_segments_decides() -> None:
    routes = Routes()
    for path in ("/", "/user/rosalind", "/user/rosalind/lab", "/user/jos%C3%A9"):
        routes.put(path, {"target": f"http://{path.count('/')}{len(path)}:1/ignored"})
    named = {path: routes.all()[path]["target"] for path in ("/", "/user/rosalind", "/user/rosalind/lab", "/user/josé")}
    for asked, prefix in (
        ("/", "/"),
        ("/user", "/"),
        ("/user/rosalind", "/user/rosalind"),
        ("/user/rosalind/", "/user/rosalind"),
        ("/user/rosalind/api/x", "/user/rosalind"),
        ("/user/rosalind2/api", "/"),
        ("/user/rosalind/labs", "/user/rosalind"),
        ("/user/rosalind/lab/tree", "/user/rosalind/lab"),
        ("/user/ros%61lind/x", "/user/rosalind"),
        ("/user/jos%C3%A9/x", "/user/josé"),
    ):
        assert routes.origin(asked) == named[prefix].removesuffix("/ignored"), asked
    routes.drop("/")
    assert routes.origin("/user") is None


async def test_the_routes_are_set_with_the_token_only() -> None:
    routes = Routes()
    async with listening(make_api(routes, TOKEN)) as port, ClientSession() as hub:
        url = f"http://127.0.0.1:{port}/api/routes"
        own = {"Authorization": f"token {TOKEN}"}
        for headers in ({}, {"Authorization": "token "}, {"Authorization": "token t0ken2"}, {"Authorization": TOKEN}):
            for method, path in (("GET", ""), ("POST", "/user/eve"), ("DELETE", "/user/eve"), ("GET", "/../x")):
                async with hub.request(method, url + path, json={"target": "http://e:1"}, headers=headers) as response:
                    assert response.status == 403, (method, path, headers)
        assert routes.all() == {}
        route = {"target": "http://127.0.0.1:9", "jupyterhub": True, "user": "rosalind"}
        async with hub.post(f"{url}/user/rosalind", json=route, headers=own) as response:
            assert response.status == 201
        async with hub.get(url, headers=own) as response:
            shown = await response.json()
        assert set(shown) == {"/user/rosalind"}
        assert shown["/user/rosalind"].items() >= route.items()
        statuses = []
        for _ in range(2):
            async with hub.delete(f"{url}/user/rosalind", headers=own) as response:
                statuses.append(response.status)
        assert (statuses, routes.all()) == ([204, 404], {})


async def test_a_visit_is_noted_as_activity(entrance: Door) -> None:
    before = entrance.routes.all()["/behind"]["last_activity"]
    async with entrance.browser.get(entrance.url("/behind/x")):
        assert entrance.routes.all()["/behind"]["last_activity"] > before


# The sites' entrance.

FLEET, SITES = "/v1/fleet/", "/sites/"


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/sites/ca", SITES),
        ("/sites/requests/4f1c/receipt", SITES),
        ("/v1/fleet/pull-messages", FLEET),
        ("/v1/fleet/a.b~c_d", FLEET),
        *(
            (path, None)
            for path in (
                *("", "/", "sites/ca", "*", "/sites", "/sites/", "/v1/fleet", "/v1/fleet/", "/v1", "/v1/control/runs"),
                *("/internal/jobs/j1", "/services/federation/api/me", "/openapi.json", "/metrics", "/hub/login"),
                *("/sites/../internal/jobs/j1", "/sites/./ca", "/sites/..", "/sites/.ca", "/sites//ca", "//sites/ca"),
                *("/sites/%2e%2e/internal/jobs/j1", "/sites/%2Fca", "/sites/c%61", "/sites/..;/internal/jobs/j1"),
                *("/sites/ca;x", "/sites\\..\\internal", "/sites/ca?x", "/sites/ca#x", "/sites/ca\n", "/sites/c a"),
                *("/v1/fleet/../control/list-runs", "/v1/fleet/%2e%2e/control", "/v1//fleet/x", "/v1/fleet/x/../y"),
                *("/V1/fleet/x", "/Sites/ca", "/v1/fleetx/y", "/sitesx/y", "http://hub/sites/ca", "/sites/ñ"),
            )
        ),
    ],
)
def test_two_doors_and_no_third(path: str, leads_to: str | None) -> None:
    assert door(path) == leads_to


@dataclass
class Gate:
    """The gateway over TLS, with a SuperLink and a service behind it, and a site in front."""

    port: int
    site: ClientSession
    trusted: ssl.SSLContext

    def url(self, path: str) -> URL:
        return URL(f"https://127.0.0.1:{self.port}{path}", encoded=True)

    async def told(self, path: str, **more: Any) -> dict[str, Any]:
        async with self.site.post(self.url(path), ssl=self.trusted, **more) as response:
            assert response.status == 418
            return dict(await response.json())

    async def refused(self, path: str, **more: Any) -> tuple[int, str]:
        async with self.site.post(self.url(path), ssl=self.trusted, **more) as response:
            body = await response.json()
            assert set(body) == {"error", "message", "hint"}
            return response.status, body["error"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return ensure(tmp_path_factory.mktemp("federation"), ())


@asynccontextmanager
async def gated(certificates: Certificates, superlink: Certificates) -> AsyncIterator[Gate]:
    trusted = ssl.create_default_context(cafile=str(certificates.ca))
    async with (
        listening(Behind("superlink").application(), server_context(superlink)) as fleet,
        listening(Behind("service").application()) as service,
        listening(
            make_gateway(certificates, f"https://127.0.0.1:{fleet}", f"http://127.0.0.1:{service}"),
            server_context(certificates),
        ) as port,
        ClientSession() as site,
    ):
        yield Gate(port, site, trusted)


@pytest.fixture
async def gate(certificates: Certificates) -> AsyncIterator[Gate]:
    async with gated(certificates, certificates) as made:
        yield made


async def test_each_door_leads_to_its_own_server(gate: Gate) -> None:
    fleet = await gate.told("/v1/fleet/pull-messages", data=b"body")
    assert (fleet["name"], fleet["path"]) == ("superlink", "/v1/fleet/pull-messages")
    assert fleet["body"] == sha256(b"body").hexdigest()
    service = await gate.told("/sites/feed?after=3&seconds=20", headers={"X-Synthema-Site": "alder"})
    assert (service["name"], service["path"]) == ("service", "/sites/feed?after=3&seconds=20")
    assert headers_of(service)["x-synthema-site"] == "alder"


async def test_nothing_else_is_passed_on(gate: Gate) -> None:
    for path in ("/internal/jobs/j1", "/sites/../internal/jobs/j1", "/v1/control/list-runs", "/sites//ca"):
        assert await gate.refused(path) == (404, "not-found")
    status, body = await exchange(
        gate.port, "GET http://127.0.0.1/internal/jobs/j1 HTTP/1.1\nHost: 127.0.0.1\n\n", gate.trusted
    )
    assert (status, json.loads(body)["error"]) == (404, "not-found")


async def test_a_site_cannot_say_where_it_comes_from(gate: Gate) -> None:
    claims = dict.fromkeys(("X-Forwarded-For", "x-forwarded-prefix", "Forwarded", "X-Forwarded-Proto"), "10.0.0.1")
    received = headers_of(await gate.told("/sites/heads", headers={**claims, "X-Own": "1"}))
    assert received["x-own"] == "1"
    assert not [name for name in received if "forwarded" in name]


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("/sites/reviews", 8 << 20, None),
        ("/sites/reviews", (8 << 20) + 1, 413),
        ("/v1/fleet/push-messages", (8 << 20) + 1, None),
        ("/v1/fleet/push-messages", (1 << 30) + 1, 413),
    ],
)
async def test_a_message_has_a_largest_size(gate: Gate, path: str, length: int, status: int | None) -> None:
    """Refused by what it says of itself, before a byte of it is read."""
    announced = exchange(gate.port, f"POST {path} HTTP/1.1\nHost: hub\nContent-Length: {length}\n\n", gate.trusted)
    if status is None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(announced, 0.3)  # it waits for the body
    else:
        assert (await announced)[0] == status


@pytest.mark.parametrize("path", ["/sites/reviews", "/v1/fleet/push-messages"])
async def test_a_message_that_hides_its_size_is_refused(gate: Gate, path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"piece"

    assert await gate.refused(path, data=pieces()) == (411, "invalid-input")


async def test_large_messages_pass_both_ways(gate: Gate) -> None:
    for path in ("/v1/fleet/mirror", "/sites/mirror"):
        async with gate.site.post(gate.url(path), data=BytesIO(FIVE_MEGABYTES), ssl=gate.trusted) as response:
            assert sha256(await response.read()).digest() == sha256(FIVE_MEGABYTES).digest()


async def test_a_server_that_is_away_is_unavailable(certificates: Certificates) -> None:
    away = make_gateway(certificates, f"https://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
    trusted = ssl.create_default_context(cafile=str(certificates.ca))
    async with listening(away, server_context(certificates)) as port, ClientSession() as site:
        gate = Gate(port, site, trusted)
        for path in ("/v1/fleet/pull-messages", "/sites/feed"):
            assert await gate.refused(path) == (503, "unavailable")


async def test_a_superlink_with_another_certificate_is_not_talked_to(
    certificates: Certificates, tmp_path: Path
) -> None:
    async with gated(certificates, ensure(tmp_path, ())) as gate:
        assert await gate.refused("/v1/fleet/push-messages", data=b"a site's message") == (503, "unavailable")
        assert (await gate.told("/sites/heads"))["name"] == "service"


async def test_a_site_meets_the_federations_certificate_over_tls_1_3(
    gate: Gate, certificates: Certificates, tmp_path: Path
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", gate.port, ssl=gate.trusted)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()
    older = ssl.create_default_context(cafile=str(certificates.ca))
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", gate.port, ssl=older)
    with pytest.raises(ssl.SSLCertVerificationError):
        another = ssl.create_default_context(cafile=str(ensure(tmp_path, ()).ca))
        await asyncio.open_connection("127.0.0.1", gate.port, ssl=another)

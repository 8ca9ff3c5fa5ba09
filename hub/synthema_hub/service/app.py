"""The federation service as a process: FastAPI under JupyterHub, with its outermost loop and its edge for errors."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlencode, urlparse

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from jupyterhub.services.auth import HubOAuth

from synthema_core import __version__
from synthema_core.cli.processes import die_with_parent
from synthema_core.errors import (
    IntegrityFailure,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    SynthemaError,
    TransitionDenied,
    Unavailable,
    to_wire,
)
from synthema_hub.federated.control import FlowerControl
from synthema_hub.service import login, pages, routes_jobs, routes_people, routes_sites
from synthema_hub.service.wiring import Federation, wire_federation
from synthema_hub.settings import Settings
from synthema_hub.state import HubState

_log = logging.getLogger(__name__)
_TEND_SECONDS = 2.0
_STATUS: tuple[tuple[type[SynthemaError], int], ...] = (
    (NotAuthenticated, 401),
    (NotPermitted, 403),
    (NotFound, 404),
    (TransitionDenied, 409),
    (Refused, 409),
    (IntegrityFailure, 422),
    (InvalidInput, 422),
    (Unavailable, 503),
)


def _status_of(error: SynthemaError) -> int:
    return next((status for cls, status in _STATUS if isinstance(error, cls)), 500)


async def tend(federation: Federation) -> None:
    """Start approved Jobs and end dead ones: at every change, and every two seconds."""
    async with federation.changes.listening() as rung:
        while True:
            try:
                await asyncio.to_thread(federation.jobs.tend)
            except Exception:  # the outermost loop: log and go on, the Journal has what happened
                _log.exception("Tending the jobs failed; trying again.")
            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), _TEND_SECONDS)
            rung.clear()


def make_app(federation: Federation, hub_login: login.Login) -> FastAPI:
    """The service's routes over these use cases."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        federation.changes.bind(asyncio.get_running_loop())
        task = asyncio.create_task(tend(federation))
        yield
        task.cancel()

    prefix = hub_login.prefix.rstrip("/")
    app = FastAPI(
        title="Synthema federation",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{prefix}/openapi.json",
    )
    app.state.federation, app.state.login = federation, hub_login
    app.include_router(routes_sites.routes, include_in_schema=False)
    app.include_router(routes_jobs.routes)
    for router in (login.routes, routes_people.routes, pages.routes):
        app.include_router(router, prefix=prefix)
    app.add_exception_handler(SynthemaError, _answer_error)
    app.add_exception_handler(login.BrowserLoginNeeded, _send_to_login)
    return app


async def _answer_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, SynthemaError):
        raise error
    return JSONResponse(to_wire(error), status_code=_status_of(error))


async def _send_to_login(request: Request, _: Exception) -> Response:
    prefix = request.app.state.login.prefix
    return RedirectResponse(f"{prefix}login?{urlencode({'target': request.url.path})}", status_code=307)


def main() -> None:
    """Entry point of ``python -m synthema_hub.service.app``, started by JupyterHub."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings.from_environment(os.environ)
    url = urlparse(settings.service_url)
    state = HubState(settings.state)
    flower = FlowerControl(f"127.0.0.1:{settings.ports.superlink}", state.certificates.ca, state.control_token())
    federation = wire_federation(state, flower, settings.service_url)
    hub_login = login.Login(HubOAuth.instance(cache_max_age=10), settings.service_prefix)
    uvicorn.run(
        make_app(federation, hub_login),
        host=url.hostname,
        port=url.port,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=1,  # event streams and long polls do not end by themselves
    )


if __name__ == "__main__":
    main()

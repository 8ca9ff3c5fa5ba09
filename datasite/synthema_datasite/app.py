"""A datasite's server: the Flower node, the line to the hub, and the stewards' page, as threads of one process."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import threading
from pathlib import Path

import uvicorn

from synthema_core.cli.serving import note_serving, note_taken_back
from synthema_core.errors import InvalidInput, Unavailable
from synthema_core.sandbox.choose import choose_backend
from synthema_datasite.federated.fleet_link import FleetLink
from synthema_datasite.federated.node import Node
from synthema_datasite.hub_client import HubClient
from synthema_datasite.pages.app import make_pages
from synthema_datasite.service.claims import Claim
from synthema_datasite.service.code_runs import CodeRuns
from synthema_datasite.service.evidence import Evidence
from synthema_datasite.service.heads import check_own_journal
from synthema_datasite.service.hub_line import HubLine
from synthema_datasite.service.job_desk import ClaimedJobs
from synthema_datasite.service.notices import Notices
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site
from synthema_datasite.settings import Settings
from synthema_datasite.state import SiteState
from synthema_datasite.worker.process import WorkerProcess

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Check the Journal, then serve until a signal ends the process.

    Raises
    ------
    Unavailable
        If the page's port is in use.
    IntegrityFailure
        If the Journal does not hold: then nothing is served.
    InvalidInput
        For a page that other machines could reach without TLS, a certificate that cannot be used, or no port.
    """
    _check_not_in_the_clear(settings)
    state = SiteState(settings.state)
    contact = state.contact()
    state.policy()
    site = Site.open(state)
    check_own_journal(site)
    sandbox = _choose_sandbox(state)
    listener = _listen(settings.host, settings.port)
    scheme = "https" if settings.certificate else "http"
    page = f"{scheme}://{settings.host}:{listener.getsockname()[1]}/"

    def start_worker(claim: Claim) -> WorkerProcess:
        rows, folder = state.folder / claim.dataset.path, state.job_folder(claim.job)
        return WorkerProcess(claim, state.name, rows, state.salt(), folder, sandbox)

    def begin_run(request: str, job: str) -> None:
        runs.begin(request, job)

    def connect() -> FleetLink:
        return FleetLink(contact.gateway, state.ca_path.read_bytes(), state.node_key())

    with note_taken_back(state.folder), HubClient.of(state) as hub:
        also = {"evidence": Evidence(site, sandbox).turn, "notices": Notices(site, page).turn}
        line = HubLine(site, hub, page, begin_run, also)
        runs = CodeRuns(site, start_worker, line.in_step)
        runs.settle()
        node = Node(connect, ClaimedJobs(site, start_worker, line.in_step.is_set))
        node_thread = threading.Thread(target=node.run, name="node")
        line.start()
        node_thread.start()
        threading.Thread(target=_note_when_ready, args=(state, line, node, page), daemon=True).start()
        try:
            _run_page(site, settings, listener)
        finally:
            line.stop()
            node.stop()
            runs.close()
            node_thread.join()


def _choose_sandbox(state: SiteState) -> str:
    """The backend for code, tried on this machine; noted for the site's other processes. Empty: no code is run."""
    try:
        chosen = choose_backend().name
        _log.info("Code runs in the sandbox '%s'.", chosen)
    except Unavailable as error:
        chosen = ""
        _log.warning("No code is run here: %s", error)
    state.keep_sandbox(chosen)
    return chosen


def _note_when_ready(state: SiteState, line: HubLine, node: Node, page: str) -> None:
    for ready in (line.announced, line.in_step, node.connected):
        ready.wait()
    note_serving(state.folder, page)
    _log.info("Datasite '%s' serves; its stewards' page is %s", state.name, page)


def _run_page(site: Site, settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        make_pages(site, Reviewing(site), secure=settings.certificate is not None),
        log_level="warning",
        ws="none",
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _check_not_in_the_clear(settings: Settings) -> None:
    if (settings.certificate is None) != (settings.key is None):
        raise InvalidInput("A certificate needs its key.", "Give both --page-certificate and --page-key.")
    if settings.certificate is not None and settings.key is not None:
        _check_usable(settings.certificate, settings.key)
    local = settings.host == "localhost" or _is_loopback(settings.host)
    if not local and settings.certificate is None:
        raise InvalidInput(
            f"The stewards' page on {settings.host} would take passphrases unencrypted.",
            "Give --page-certificate and --page-key, or listen on 127.0.0.1.",
        )


def _check_usable(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except OSError:  # ssl's own errors are such, too
        raise InvalidInput(
            f"The page cannot use the certificate {certificate} with the key {key}.",
            "Give PEM files that belong together; the key without a passphrase.",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OverflowError:
        listener.close()
        raise InvalidInput(f"{port} is no port.", "Give --port a number up to 65535, or 0 for a free one.") from None
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"The page cannot listen on {host}:{port}: {error.strerror}.", "Choose another --port, or 0 for a free one."
        ) from None
    return listener

"""`synthema datasite doctor | notices`: whether this machine can do what it is to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from synthema_core.errors import NotFound, Unavailable
from synthema_datasite.cli.arguments import leaf, site_of

if TYPE_CHECKING:
    from synthema_core.sandbox.doctor import BackendReport, Report


def verbs(datasite: Any) -> None:
    help_text = "say which sandboxes for code this machine offers, and attack each of them"
    parser = datasite.add_parser("doctor", help=help_text, description=help_text)
    parser.set_defaults(run=_doctor)
    parser = leaf(datasite, "notices", _notices, "say whom e-mail notices go to, and try them")
    parser.add_argument("--try", action="store_true", dest="trial", help="write to everybody that notices work")


def _doctor(_: argparse.Namespace) -> int:
    from synthema_core.sandbox.doctor import examine

    report = examine()
    for line in report_text(report):
        print(line)
    if not report.chosen:
        raise Unavailable("This machine offers no sandbox: a datasite here runs no code, only built-in analyses.")
    return 0


def report_text(report: Report) -> Iterator[str]:
    """What the doctor found, line by line."""
    yield "This machine"
    yield from (f"  {'+' if means.there else '-'} {means.name:<20}{means.remark}" for means in report.machine)
    for backend in report.backends:
        yield f"\nSandbox '{backend.name}'"
        yield from (f"  {line}" for line in _backend_text(backend))
    yield f"\nCode runs in: {report.chosen or 'nothing'}"


def _backend_text(backend: BackendReport) -> Iterator[str]:
    if backend.missing:
        yield f"not offered: {backend.missing}"
        return
    held = len(backend.findings) - len(backend.through)
    yield f"{'offered' if backend.offered else 'NOT offered'}: {held} of {len(backend.findings)} attacks were held"
    yield from (f"went through: {finding.name} ({finding.why})" for finding in backend.through)
    yield from (f"note: {remark}" for remark in backend.remarks)


def _notices(arguments: argparse.Namespace) -> int:
    from synthema_datasite.service.notice_settings import FILE, NoticeSettings
    from synthema_datasite.service.notices import Notices
    from synthema_datasite.service.records import stewards

    site = site_of(arguments)
    settings = NoticeSettings.read(site.state.folder)
    if settings is None:
        raise NotFound(f"Notices are off: there is no {FILE}.", "The how-to for engineers shows one.")
    known = stewards(site.journal)
    print(f"By {settings.host}:{settings.port} ({settings.security}), from {settings.sender}:")
    for name, address in settings.recipients.items():
        print(f"  {name:<16}{address}{'' if name in known else '   is no steward here: gets nothing'}")
    if arguments.trial:
        Notices(site, "").trial(settings)
        print("Sent to each of them.")
    return 0

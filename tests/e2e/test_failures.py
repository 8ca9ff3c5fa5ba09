"""What is lost when something dies: no request, no approval, no row, and no result that somebody did not agree to."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from support.killing import kill, part_of_hub, restart
from support.running import COX, KAPLAN_MEIER, Running, wait_for
from synthema_core.request import Status, Verb
from synthema_core.sqlite_journal import SqliteJournal

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]


def test_a_hub_killed_in_mid_review_has_lost_nothing(fragile: Running) -> None:
    request = fragile.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="reviewed")
    first, *others = fragile.sites
    fragile.approve(request, [first])
    wait_for(lambda: _verdict(fragile, request, first) == "approved", "the hub knew of the approval")
    kill(fragile.process("hub"))
    for site in others:  # the stewards do not notice: their datasites are their own
        fragile.review(site, "approve", request)
    restart(fragile, "hub")
    view = fragile.wait_until_ended(request)
    assert view["status"] == "released", view["failure"]
    SqliteJournal(fragile.local.hub_state / "journal.sqlite").verify()


def _verdict(federation: Running, request: str, site: str) -> str:
    views = federation.session().client.request(request)["sites"]
    return str(next(view["verdict"] for view in views if view["site"] == site))


def test_an_approved_request_waits_for_a_site_that_is_away(fragile: Running) -> None:
    request = fragile.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="patient")
    away = fragile.sites[-1]
    fragile.approve(request, fragile.sites[:-1])
    wait_for(lambda: fragile.has_received(away, request), f"'{away}' had received it")
    process = fragile.process(f"site-{away}")
    process.terminate()
    process.wait(20)
    fragile.review(away, "approve", request)  # its journal takes the Review; nobody tells the hub yet
    assert fragile.status(request) == "under_review"
    restart(fragile, f"site-{away}")
    view = fragile.wait_until_ended(request)
    assert view["status"] == "released", view["failure"]


def test_a_killed_superlink_is_started_again_and_the_next_job_runs(fragile: Running) -> None:
    request = fragile.ask("kaplan-meier", "bmt", KAPLAN_MEIER, name="superlink")
    kill(part_of_hub(fragile, "synthema_hub.federated.superlink"))
    fragile.approve(request)
    view = fragile.wait_until_ended(request)
    assert view["status"] == "released", view["failure"]


def test_a_site_that_falls_silent_ends_the_job_and_nothing_is_revealed(fragile: Running) -> None:
    request = fragile.ask("cox", "bmt", COX, name="silent")
    silent = fragile.sites[-1]
    process = fragile.process(f"site-{silent}")
    fragile.approve(request)
    wait_for(lambda: fragile.status(request) == "running", "the job had started")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        view = fragile.wait_until_ended(request)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert view["status"] == "failed" and view["release"] is None
    assert "nothing was revealed" in view["failure"]["message"]
    for site in fragile.sites[:-1]:
        ended = wait_for(lambda site=site: _if_failed(fragile, site, request), f"'{site}' knew that it failed")
        assert ended.last(Verb.START) is not None, "the approval is used up"
    wait_for(lambda: not _workers(fragile), "every worker with rows had ended")


def _if_failed(federation: Running, site: str, request: str) -> object:
    record = federation.record(site, request)
    return record if record.request.status is Status.FAILED else None


def _workers(federation: Running) -> list[psutil.Process]:
    sites = [federation.process(f"site-{site}") for site in federation.sites]
    return [child for site in sites for child in site.children(recursive=True) if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    """False for one that ended in this moment."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "synthema_datasite.worker.main" in process.cmdline()
    except psutil.Error:
        return False

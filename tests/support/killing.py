"""Ending parts of a federation without a warning, and starting them again."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from support.running import Running, wait_for
from synthema_core.cli.serving import is_serving


def kill(process: psutil.Process) -> None:
    """Without a warning, and everything it started with it."""
    for victim in (process, *process.children(recursive=True)):
        victim.kill()
    wait_for(lambda: _has_ended(process), f"{process} had ended", 10)


def _has_ended(process: psutil.Process) -> bool:
    """Whatever is left of it waits to be reaped. Its first thread does so while others are still ending."""
    tasks = Path(f"/proc/{process.pid}/task")
    return not process.is_running() or (process.status() == psutil.STATUS_ZOMBIE and len(list(tasks.iterdir())) == 1)


def restart(federation: Running, name: str) -> None:
    """Return when it serves again."""
    assert name in federation.children.revive(time.monotonic())
    folder = federation.local.hub_state if name == "hub" else federation.state(name.removeprefix("site-"))
    wait_for(lambda: is_serving(folder), f"'{name}' served again", 90)


def part_of_hub(federation: Running, module: str) -> psutil.Process:
    """One of the hub's own processes, such as its SuperLink."""
    return next(
        process
        for process in federation.process("hub").children(recursive=True)
        if module in " ".join(process.cmdline())
    )


def wait_for_file(federation: Running, site: str, name: str, seconds: float = 60.0) -> Path:
    """Until that step of a Job is on the site's disk."""
    jobs = federation.state(site) / "jobs"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := next(jobs.glob(f"*/{name}"), None):
            return found
        time.sleep(0.002)
    raise AssertionError(f"'{site}' had no '{name}' of a job within {seconds:g} seconds")

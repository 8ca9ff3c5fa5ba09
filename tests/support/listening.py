"""A listener to a Request's events, on the service's own port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from support.hub import PREFIX, TrialHub


async def listening(hub: TrialHub, request: str, steps: list[Callable[[], Any]]) -> list[dict[str, Any]]:
    """The views that a listener gets: the first, then one after each step. The stream must end after the last."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    hub.federation.changes.bind(asyncio.get_running_loop())
    path = f"{PREFIX}api/requests/{request}/events"
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": [(b"authorization", b"Bearer rosalind")]}
    running = asyncio.create_task(hub.app(scope, _never, sent.put))  # type: ignore[arg-type]
    start = await asyncio.wait_for(sent.get(), 5)
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    views = [await _next_view(sent)]
    for step in steps:
        await asyncio.to_thread(step)
        views.append(await _next_view(sent))
    await asyncio.wait_for(running, 5)
    return views


async def _never() -> dict[str, Any]:
    """The listener sends nothing and stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def _next_view(sent: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    while True:
        text = (await asyncio.wait_for(sent.get(), 5))["body"].decode()
        if text.startswith("data: "):
            return dict(json.loads(text.removeprefix("data: ")))
        assert text == ": still here\n\n"

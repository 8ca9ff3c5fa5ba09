"""The coordinator's line to the federation service: fetch the Job, report progress, deliver the outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from synthema_core.canonical import Json
from synthema_core.errors import SynthemaError, Unavailable, from_wire, to_wire

TOKEN_FILE_VARIABLE = "SYNTHEMA_JOB_TOKEN_FILE"  # noqa: S105
_TICKET_SECONDS = 5.0
_DELIVERY_SECONDS = 120.0


class JobService:
    """Talks to the service's `/internal` routes with the token that only hub processes can read."""

    def __init__(self, url: str, token: str) -> None:
        self._telling = ThreadPoolExecutor(1, "progress")
        self._client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=10.0)

    @classmethod
    def from_environment(cls, url: str) -> JobService:
        return cls(url, Path(os.environ[TOKEN_FILE_VARIABLE]).read_text().strip())

    def fetch(self, job: str) -> dict[str, Any]:
        """{"job", "request", "plan", "nodes"} of that Job, which the service may be about to record."""
        deadline = time.monotonic() + _TICKET_SECONDS
        while True:
            response = self._client.get(f"/internal/jobs/{job}")
            if response.status_code != httpx.codes.NOT_FOUND or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        if response.is_error:
            raise from_wire(response.json())
        return dict(response.json())

    def report(self, job: str, round_index: int, max_rounds: int, text: str) -> None:
        """Progress for people to see; no Round waits for it. A service that is away just misses it."""
        progress: dict[str, Json] = {"round": round_index, "max_rounds": max_rounds, "text": text}
        self._telling.submit(self._tell, job, progress)

    def _tell(self, job: str, progress: Mapping[str, Json]) -> None:
        try:
            self._client.post(f"/internal/jobs/{job}/progress", json=progress)
        except httpx.HTTPError:
            return

    def deliver_result(self, job: str, outcome: Mapping[str, Json]) -> None:
        self._deliver(f"/internal/jobs/{job}/result", dict(outcome))

    def deliver_failure(self, job: str, error: SynthemaError) -> None:
        self._deliver(f"/internal/jobs/{job}/failure", dict(to_wire(error)))

    def _deliver(self, path: str, body: dict[str, Any]) -> None:
        """Until the service has it: it may be restarting. The route is idempotent."""
        deadline = time.monotonic() + _DELIVERY_SECONDS
        while True:
            try:
                response = self._client.post(path, json=body)
                if response.status_code < 500:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise Unavailable("The federation service does not take the Job's outcome.")
            time.sleep(0.5)

"""The coordinator's routes: on the hub's own machine, behind a token that only hub processes can read."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header

from synthema_core.errors import NotAuthenticated
from synthema_hub.service.routes_sites import Body, Fed


def check_job_token(federation: Fed, authorization: Annotated[str, Header()] = "") -> None:
    if not hmac.compare_digest(authorization.encode(), f"Bearer {federation.job_token}".encode()):
        raise NotAuthenticated("This route is for the hub's own coordinator.")


routes = APIRouter(prefix="/internal/jobs", dependencies=[Depends(check_job_token)], include_in_schema=False)


@routes.get("/{job}")
def ticket(job: str, federation: Fed) -> dict[str, Any]:
    return federation.jobs.ticket(job)


@routes.post("/{job}/progress")
def progress(job: str, federation: Fed, body: Body) -> dict[str, str]:
    federation.changes.ring(federation.jobs.report(job, body))
    return {"job": job}


@routes.post("/{job}/result")
def result(job: str, federation: Fed, body: Body) -> dict[str, str]:
    federation.jobs.finish(job, body)
    return {"job": job}


@routes.post("/{job}/failure")
def failure(job: str, federation: Fed, body: Body) -> dict[str, str]:
    federation.jobs.fail(job, body)
    return {"job": job}

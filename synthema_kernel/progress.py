"""Where a Request is, in words: what its status means to the person who waits for it, and for whom it waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthema_core.request import Status
from synthema_kernel.markup import printable

_BEFORE_VERDICTS = (Status.SUBMITTED, Status.UNDER_REVIEW)
_MEANING = {
    Status.CLEARED: "every site lets its output be summed",
    Status.SUMMING: "the sites' outputs are being summed",
}


def spoken(status: Any) -> str:
    """A status as people read it."""
    return str(status or "unknown").replace("_", " ")


def progress_line(view: Mapping[str, Any]) -> str:
    """One line about where a Request is."""
    where = f"{view['name'] or view['id']}: {spoken(view['status'])}"
    told = standing(view)
    return printable(f"{where}, {told}" if told else where)


def standing(view: Mapping[str, Any]) -> str:
    """What the status alone does not say; empty where it says all."""
    status = view["status"]
    if status in _BEFORE_VERDICTS:
        return _reviewed(view)
    if status == Status.STAGED:
        waiting = ", ".join(undecided(view)) or "the sites"
        return f"waits for the release decision of {waiting}"
    if status == Status.WITHHELD:
        return _withheld(view)
    progress = view.get("progress") or {}
    return str(progress.get("text") or _MEANING.get(status, ""))


def _reviewed(view: Mapping[str, Any]) -> str:
    verdicts = [site["verdict"] for site in view["sites"]]
    said = f"{verdicts.count('approved')} of {len(verdicts)} sites have approved"
    asking = ", ".join(sorted(unanswered(view)))
    return f"{said}; {asking} asked you something" if asking else said


def undecided(view: Mapping[str, Any]) -> list[str]:
    """The sites whose stewards have not yet decided on what is staged there."""
    return [site["site"] for site in view["sites"] if (site.get("output") or {}).get("state") != "cleared"]


def unanswered(view: Mapping[str, Any]) -> set[str]:
    """The sites that have asked something since the author's last answer."""
    asking: set[str] = set()
    for said in view.get("thread") or []:
        asking = asking | {said["site"]} if said["site"] else set()
    return asking


def withheld_by(view: Mapping[str, Any]) -> tuple[str, str]:
    """The site that does not let its output go, and why; empty where there is none."""
    for site in view["sites"]:
        output = site.get("output") or {}
        if output.get("state") == "withheld":
            return site["site"], output["reason"]
    return "", ""


def _withheld(view: Mapping[str, Any]) -> str:
    site, reason = withheld_by(view)
    return f"{site or 'a site'} does not let its output go" + (f": {reason.rstrip('.')}" if reason else "")

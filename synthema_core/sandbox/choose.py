"""Which backends this machine offers. One that lets an attack through is not offered; without any, no code runs."""

from __future__ import annotations

from collections.abc import Sequence

from synthema_core.errors import Unavailable
from synthema_core.sandbox.attacks import QUICK, Finding, attack
from synthema_core.sandbox.backends import BubblewrapBackend, LandlockBackend
from synthema_core.sandbox.port import Backend

BACKENDS: tuple[Backend, ...] = (BubblewrapBackend(), LandlockBackend())
"""Best first."""


def available_backends(among: Sequence[Backend] = BACKENDS) -> tuple[Backend, ...]:
    """Those that compute what honest code computes and stop some quick attacks, best first. Takes seconds."""
    return tuple(backend for backend in among if not shortcoming(backend))


def choose_backend(name: str = "", among: Sequence[Backend] = BACKENDS) -> Backend:
    """The best that is available, or the one with this name.

    Raises
    ------
    Unavailable
        If there is none. There is no unsafe one to fall back to.
    """
    reasons = []
    for backend in among:
        if name in ("", backend.name):
            reason = shortcoming(backend)
            if not reason:
                return backend
            reasons.append(f"{backend.name}: {reason}")
    said = " ".join(reasons) or f"there is no sandbox '{name}'."
    raise Unavailable(f"No sandbox for researchers' code is available here: {said}", "Run `synthema datasite doctor`.")


def shortcoming(backend: Backend) -> str:
    """Why this backend is not to be used here, in one sentence; empty if it is."""
    missing = backend.missing()
    if missing:
        return missing
    try:
        findings = attack(backend, QUICK)
    except Unavailable as error:
        return error.message
    return _told([finding for finding in findings if finding.disqualifies])


def _told(through: Sequence[Finding]) -> str:
    if not through:
        return ""
    return f"It does not hold: {', '.join(finding.name for finding in through)}."

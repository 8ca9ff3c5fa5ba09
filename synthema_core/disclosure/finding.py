"""What a check noticed about a site's staged output, in words a steward can act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np

from synthema_core.canonical import Json
from synthema_core.code.outputs import Outputs
from synthema_core.code.references import selected
from synthema_core.disclosure.cells import references


class Kind(StrEnum):
    FEW_PATIENTS_HERE = "few-patients-here"
    SMALL = "small-cell"
    ALL_BUT_FEW = "all-but-few"
    STEP = "small-step"
    REMAINDER = "small-remainder"
    GIVEN_BACK = "given-back"
    TOO_FINE = "too-fine"
    THIN = "numbers-of-a-small-group"
    DERIVED = "derived-from-a-hidden-count"
    GROUP = "whole-group"
    WEIGHS = "weighs-patients"
    DOMINATED = "one-patient-dominates"
    FEW = "depends-on-few-patients"
    FAILS = "fails-without-a-patient"
    ECHO = "value-of-a-patient"
    COLUMN = "copy-of-a-column"
    PACKED = "packed-values"
    HUGE = "too-large-for-a-sum"
    TOO_MANY = "too-many-numbers"
    DIFFERENCE = "differs-from-earlier-by-few"
    REPEATED = "same-as-earlier"
    KNOWN_BEFORE = "known-from-earlier"
    LIKE_COUNTS = "looks-like-counts"
    CONSTANT = "constant"


class Severity(StrEnum):
    """SERIOUS should not leave as it is; LOOK needs a steward's eye; a NOTE helps in reading the numbers."""

    SERIOUS = "serious"
    LOOK = "look"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class DisclosureFinding:
    """One thing that a check noticed.

    Parameters
    ----------
    output
        Its name; empty where the finding is about all of them.
    cells
        References (``deaths[2]``; ``deaths`` for all of it) of the values it is about.
    hide
        Whether leaving out `cells` is what the checks suggest.
    message
        For the site's steward alone: it may tell counts of this site.
    """

    kind: Kind
    severity: Severity
    output: str
    cells: tuple[str, ...]
    message: str
    hide: bool = False

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "kind": self.kind.value, "severity": self.severity.value, "cells": list(self.cells)}


def suggest_redaction(found: Iterable[DisclosureFinding], outputs: Outputs) -> tuple[str, ...]:
    """What a steward who follows the findings leaves out, in order; an output that goes whole is named once."""
    hidden = np.zeros(outputs.length, dtype=np.bool_)
    for finding in found:
        if finding.hide:
            hidden |= selected(finding.cells, outputs)
    return references(hidden, outputs)


def summary(found: Sequence[DisclosureFinding]) -> str:
    """The findings in one sentence."""
    if not found:
        return "The checks found nothing; they cannot see everything, so read the numbers."
    tally = Counter(finding.severity for finding in found)
    parts = [
        text
        for severity, text in (
            (Severity.SERIOUS, f"{tally[Severity.SERIOUS]} serious"),
            (Severity.LOOK, f"{tally[Severity.LOOK]} to look at"),
            (Severity.NOTE, f"{tally[Severity.NOTE]} for information"),
        )
        if tally[severity]
    ]
    noun = "finding" if len(found) == 1 else "findings"
    advice = "some values should be left out" if any(finding.hide for finding in found) else "no value need be left out"
    return f"{len(found)} {noun} ({', '.join(parts)}): by these checks {advice}."

"""How many numbers, for how many patients."""

from __future__ import annotations

from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity
from synthema_core.disclosure.staged import Staged


def size_findings(staged: Staged) -> list[DisclosureFinding]:
    numbers, patients = staged.outputs.length, staged.patients
    free = int((~staged.counted).sum())
    found = []
    if patients < staged.min_patients:
        text = f"This site has fewer than {staged.min_patients} patients in it: every number is about few."
        found.append(DisclosureFinding(Kind.FEW_PATIENTS_HERE, Severity.SERIOUS, "", (), text))
    if numbers > staged.max_numbers_per_patient * patients:
        most = staged.max_numbers_per_patient
        text = (
            f"{numbers:,} numbers for {patients:,} patients are more than the {most:g} a patient of this site's policy."
        )
        found.append(DisclosureFinding(Kind.TOO_MANY, Severity.SERIOUS, "", (), text))
    if free >= patients:
        text = f"{free:,} numbers that are no counts can hold a value of each of the {patients:,} patients."
        found.append(DisclosureFinding(Kind.TOO_MANY, Severity.LOOK, "", (), text))
    return found

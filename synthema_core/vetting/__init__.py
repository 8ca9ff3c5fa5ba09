"""Reading researchers' code for a reviewer: what is in it that a steward should look at, and why.

It informs the person who decides. **It is never the boundary**: code that means harm can be written so that nothing
here sees it; tests/attacks/hostile_jobs holds such jobs. What holds is the sandbox, the gate on outputs, the noise
added outside the sandbox, and the steward's decision on a release. No finding, and no lack of one, permits anything.

Nothing is run, imported or opened: pure functions of the text.
"""

from synthema_core.vetting.finding import Finding, Kind, Severity, summary
from synthema_core.vetting.vet import vet

__all__ = ["Finding", "Kind", "Severity", "summary", "vet"]

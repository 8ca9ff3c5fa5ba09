"""May a site's own numbers be summed with the others'? The gate that code's output passes, and what checks notice.

Pure: arrays, rows and the runs without one patient go in, findings come out. A steward decides.
"""

from synthema_core.disclosure.checks import describe_checks
from synthema_core.disclosure.finding import DisclosureFinding, Kind, Severity, suggest_redaction, summary
from synthema_core.disclosure.gate import Gated, gate
from synthema_core.disclosure.report import findings
from synthema_core.disclosure.staged import Earlier, Staged

__all__ = [
    "DisclosureFinding",
    "Earlier",
    "Gated",
    "Kind",
    "Severity",
    "Staged",
    "describe_checks",
    "findings",
    "gate",
    "suggest_redaction",
    "summary",
]

"""Secure summation over Z_2^64 that survives dropouts: the hub learns the sum over the survivors and nothing else.

Pure, and testable without a network. `Member` is a site's side, `summing` the hub's, `Terms` the numbers both rest on;
docs/reference/secure-sum.md tells the protocol and its argument.
"""

from synthema_core.secure_sum.masking import input_digest
from synthema_core.secure_sum.member import Member
from synthema_core.secure_sum.memory import Memory
from synthema_core.secure_sum.roster import Announcement, Roster
from synthema_core.secure_sum.session import Moment, Session
from synthema_core.secure_sum.summing import add, unmask
from synthema_core.secure_sum.survivors import Reveal, Survivors
from synthema_core.secure_sum.terms import Terms

__all__ = [
    "Announcement",
    "Member",
    "Memory",
    "Moment",
    "Reveal",
    "Roster",
    "Session",
    "Survivors",
    "Terms",
    "add",
    "input_digest",
    "unmask",
]

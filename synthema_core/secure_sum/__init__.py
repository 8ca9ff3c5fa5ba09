"""Secure summation over Z_2^64, first form: pairwise masks that cancel in the sum of all sites, and only there.

Pure and testable without a network. Every site must take part to the end: a missing one ends the Job with nothing
revealed. Self masks, shares and recovery from dropouts attach to `Roster` (more keys) and `Member` (more steps).
"""

from synthema_core.secure_sum.masking import Member, add, input_digest
from synthema_core.secure_sum.roster import Announcement, Roster

__all__ = ["Announcement", "Member", "Roster", "add", "input_digest"]

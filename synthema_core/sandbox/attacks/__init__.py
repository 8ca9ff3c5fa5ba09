"""Attacks that a sandbox must hold against, as data: for the tests, for the doctor and for the choice of a backend."""

from synthema_core.sandbox.attacks.case import Attack, Finding, attack
from synthema_core.sandbox.attacks.on_files import ON_FILES
from synthema_core.sandbox.attacks.on_limits import ON_LIMITS
from synthema_core.sandbox.attacks.on_memory import ON_MEMORY
from synthema_core.sandbox.attacks.on_network import ON_NETWORK
from synthema_core.sandbox.attacks.on_order import ON_ORDER
from synthema_core.sandbox.attacks.on_output import ON_OUTPUT
from synthema_core.sandbox.attacks.on_processes import ON_PROCESSES
from synthema_core.sandbox.attacks.on_the_kernel import ON_THE_KERNEL

ATTACKS: tuple[Attack, ...] = (
    *ON_FILES,
    *ON_NETWORK,
    *ON_PROCESSES,
    *ON_THE_KERNEL,
    *ON_ORDER,
    *ON_MEMORY,
    *ON_OUTPUT,
    *ON_LIMITS,
)
QUICK: tuple[Attack, ...] = tuple(case for case in ATTACKS if case.quick)
"""Enough to see at every start whether a backend confines at all; under a second."""

__all__ = ["ATTACKS", "QUICK", "Attack", "Finding", "attack"]

"""Every error a user can meet, as one tree.

::

    SynthemaError
    ├── InvalidInput          what somebody typed or supplied cannot be used
    │   ├── InvalidPlan
    │   ├── InvalidPolicy
    │   ├── InvalidSchema
    │   └── InvalidRows
    ├── NotFound              nothing of that name here
    ├── NotAuthenticated      who are you?
    ├── NotPermitted          known, but not allowed to
    ├── TransitionDenied      the Request's life cycle has no such step from here
    ├── Refused               a rule of a site says no; names the rule, never a value
    │   └── BudgetSpent
    ├── IntegrityFailure      a signature, digest or chain does not hold
    ├── RoundFailed           a Job ended without a result; nothing was revealed
    └── Unavailable           a port, disk, process or peer is not there

An error is one sentence and a hint. Data about it travels as attributes. The edges (command line, HTTP,
magics) map the classes to exit statuses, HTTP statuses and output; nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class SynthemaError(Exception):
    """Base of all errors that are meant to be read by a user.

    Parameters
    ----------
    message
        One sentence: what is wrong. Never contains a value of a patient's row.
    hint
        One sentence: what to do about it. May be empty.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidInput(SynthemaError):
    code = "invalid-input"


class InvalidPlan(InvalidInput):
    code = "invalid-plan"


class InvalidPolicy(InvalidInput):
    code = "invalid-policy"


class InvalidSchema(InvalidInput):
    code = "invalid-schema"


class InvalidRows(InvalidInput):
    code = "invalid-rows"


class NotFound(SynthemaError):
    code = "not-found"


class NotAuthenticated(SynthemaError):
    code = "not-authenticated"


class NotPermitted(SynthemaError):
    code = "not-permitted"


class TransitionDenied(SynthemaError):
    code = "transition-denied"


class Refused(SynthemaError):
    """A site's rule says no.

    Parameters
    ----------
    rule
        The rule's name as in the policy or in docs/security-properties, such as ``min_patients``.
    """

    code = "refused"

    def __init__(self, message: str, hint: str = "", *, rule: str = "policy") -> None:
        super().__init__(message, hint)
        self.rule = rule


class BudgetSpent(Refused):
    code = "budget-spent"

    def __init__(self, message: str, hint: str = "", *, rule: str = "budget") -> None:
        super().__init__(message, hint, rule=rule)


class IntegrityFailure(SynthemaError):
    code = "integrity-failure"


class RoundFailed(SynthemaError):
    code = "round-failed"


class Unavailable(SynthemaError):
    code = "unavailable"


def _subclasses(cls: type[SynthemaError]) -> list[type[SynthemaError]]:
    return [cls, *(deeper for child in cls.__subclasses__() for deeper in _subclasses(child))]


def to_wire(error: SynthemaError) -> dict[str, str]:
    """The JSON form in which an error crosses a process boundary."""
    wire = {"error": error.code, "message": error.message, "hint": error.hint}
    return {**wire, "rule": error.rule} if isinstance(error, Refused) else wire


def from_wire(wire: object) -> SynthemaError:
    """The error of that code, whatever the other side sent; an unknown code becomes the base class."""
    told = wire if isinstance(wire, Mapping) else {}
    classes = {cls.code: cls for cls in _subclasses(SynthemaError) if "code" in vars(cls)}
    cls = classes.get(str(told.get("error")), SynthemaError)
    message, hint = str(told.get("message", "The other side gave no reason.")), str(told.get("hint", ""))
    if issubclass(cls, Refused) and "rule" in told:
        return cls(message, hint, rule=str(told["rule"]))
    return cls(message, hint)

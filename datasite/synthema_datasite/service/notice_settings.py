"""Where and to whom notices by e-mail go: STATE/notices.toml. Without the file there are none."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Any, Self

from synthema_core.cli.files import read_secret, read_text
from synthema_core.errors import InvalidInput

FILE = "notices.toml"
STARTTLS, TLS, IN_THE_CLEAR = "starttls", "tls", "none"
_SECURITY = (STARTTLS, TLS, IN_THE_CLEAR)


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """How to reach the hospital's mail server, and whom to write to.

    Parameters
    ----------
    recipients
        E-mail address of each steward.
    security
        ``starttls``, ``tls`` from the first byte, or ``none``; a server that does not offer what is asked for gets
        nothing.
    user, password_file
        To log in with; the file is readable by its owner alone. Never sent without TLS.
    ca_file
        PEM, where the mail server's certificate is the hospital's own.
    purpose
        Whether a notice quotes the purpose, which its researcher wrote.
    page
        The page's address as stewards reach it, where it is not the one the datasite listens on.
    least_minutes
        Between two notices to the same people.
    """

    host: str
    sender: str
    recipients: Mapping[str, str] = field(default_factory=dict)
    port: int = 587
    security: str = STARTTLS
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    purpose: bool = False
    page: str = ""
    least_minutes: float = 10.0

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 65536:
            raise _invalid("needs the host and port of a mail server")
        if self.security not in _SECURITY:
            raise _invalid(f"knows no security '{self.security}'", f"There are {', '.join(_SECURITY)}.")
        if bool(self.user) != bool(self.password_file):
            raise _invalid("needs both user and password_file, or neither")
        if self.user and self.security == IN_THE_CLEAR:
            raise _invalid("would send a password in the clear", 'Set security to "starttls" or "tls".')
        if not 0 <= self.least_minutes <= 10_000:
            raise _invalid("needs least_minutes from 0 to 10000")
        if not self.recipients:
            raise _invalid("names no recipients", 'Write [recipients] and maria = "maria@hospital.example".')
        for address in (self.sender, *self.recipients.values()):
            _check_address(address)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Those in this state folder; None where notices are off.

        Raises
        ------
        InvalidInput
            For anything that is not understood.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            data = tomllib.loads(read_text(path))
        except tomllib.TOMLDecodeError as error:
            raise _invalid(f"is not TOML: {error}") from None
        return cls(**_checked(data))

    def password(self, folder: Path) -> str:
        """Read afresh each time. A relative path is looked up in the state folder."""
        return read_secret(folder / self.password_file, "")


def _checked(data: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {f.name: f.type for f in fields(NoticeSettings)}
    unknown = sorted(set(data) - set(kinds))
    if unknown:
        raise _invalid(f"has an unknown '{unknown[0]}'", f"Known are {', '.join(sorted(kinds))}.")
    missing = sorted({"host", "sender"} - set(data))
    if missing:
        raise _invalid(f"needs {missing[0]}")
    return {name: _value(name, str(kinds[name]), value) for name, value in data.items()}


def _value(name: str, kind: str, value: Any) -> Any:
    if kind == "float" and type(value) is int:
        return float(value)
    wanted: dict[str, tuple[type, str]] = {
        "str": (str, "a text"),
        "int": (int, "a whole number"),
        "float": (float, "a number"),
        "bool": (bool, "true or false"),
    }
    expected, words = wanted.get(kind, (dict, "a table of stewards and their addresses"))
    texts = value.values() if isinstance(value, dict) else ()
    if type(value) is not expected or not all(type(text) is str for text in texts):
        raise _invalid(f"{name} must be {words}")
    return value


def _check_address(address: str) -> None:
    try:
        plain = address.isascii() and address.isprintable() and Address(addr_spec=address).domain
    except (MessageError, ValueError, IndexError):
        plain = ""
    if not plain:
        raise _invalid(f"'{address}' is no e-mail address")


def _invalid(what: str, hint: str = "") -> InvalidInput:
    return InvalidInput(f"{FILE}: {what}." if what.startswith("'") else f"{FILE} {what}.", hint)

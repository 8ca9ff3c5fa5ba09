"""Local accounts: names, groups and hashed passwords in one file, for hubs without a login service of their own."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthema_core.errors import IntegrityFailure, InvalidInput

GROUPS = ("researcher", "data-owner", "operator")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_SHORTEST_PASSWORD = 12
_COST, _BLOCK_SIZE, _PARALLEL = 2**15, 8, 1
_MEMORY_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Account:
    """One login. `password` is scrypt (RFC 7914) under `salt`, both hexadecimal."""

    group: str
    salt: str
    password: str

    @classmethod
    def of(cls, group: str, password: str) -> Account:
        salt = secrets.token_bytes(16)
        return cls(group, salt.hex(), _scrypt(password, salt))

    def has_password(self, password: str) -> bool:
        return hmac.compare_digest(self.password, _scrypt(password, bytes.fromhex(self.salt)))


#: Compared with when there is no such account, so that the answer takes as long as for a wrong password.
_NOBODY = Account("", "00" * 16, "")


def _scrypt(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK_SIZE, p=_PARALLEL, maxmem=_MEMORY_BYTES).hex()


class Accounts:
    """The accounts in one file, read afresh at each login."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, name: str, password: str) -> Account | None:
        """The account, if there is one of that name with that password."""
        account = self._read().get(name, _NOBODY)
        return account if account.has_password(password) and account is not _NOBODY else None

    def put(self, name: str, group: str, password: str) -> None:
        """Make the account, or give it this group and password.

        Raises
        ------
        InvalidInput
            For a bad name or group, or a short password.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"'{name}' cannot name a login.", "Use lower-case letters, digits and hyphens.")
        if group not in GROUPS:
            raise InvalidInput(f"There is no group '{group}'.", f"There are {', '.join(GROUPS)}.")
        if len(password) < _SHORTEST_PASSWORD:
            raise InvalidInput(f"A password needs at least {_SHORTEST_PASSWORD} characters.")
        self._write({**self._read(), name: Account.of(group, password)})

    def _read(self) -> dict[str, Account]:
        try:
            data: Mapping[str, Any] = json.loads(self._path.read_text())
            return {name: Account(**account) for name, account in data.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError):
            raise IntegrityFailure(f"The accounts in {self._path} cannot be read.", "Restore the file.") from None

    def _write(self, accounts: Mapping[str, Account]) -> None:
        """Whole or not at all."""
        fresh = self._path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({name: asdict(account) for name, account in accounts.items()}, indent=1))
        fresh.replace(self._path)

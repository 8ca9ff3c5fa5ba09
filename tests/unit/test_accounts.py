"""Local accounts: what is on the disk opens nothing, and who may log in is said by the file alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from synthema_core.errors import IntegrityFailure, InvalidInput
from synthema_hub import accounts as module
from synthema_hub.accounts import Account, Accounts
from synthema_hub.authenticator import AccountsAuthenticator

PASSWORD = "a long enough password"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "accounts.json")
    made.put("ada", "researcher", PASSWORD)
    return made


def test_the_right_password_opens_the_account_and_no_other(accounts: Accounts) -> None:
    found = accounts.check("ada", PASSWORD)
    assert found is not None and found.group == "researcher"
    assert accounts.check("ada", PASSWORD + " ") is None
    assert accounts.check("eve", PASSWORD) is None
    assert accounts.check("", "") is None


def test_the_file_holds_no_password_and_is_for_its_owner_only(accounts: Accounts, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    assert PASSWORD not in path.read_text() and path.stat().st_mode & 0o077 == 0
    accounts.put("bob", "operator", PASSWORD)
    one, two = (accounts.check(name, PASSWORD) for name in ("ada", "bob"))
    assert one is not None and two is not None
    assert (one.salt, one.password) != (two.salt, two.password)


def test_an_unknown_name_costs_as_much_as_a_wrong_password(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    real = module._scrypt
    monkeypatch.setattr(module, "_scrypt", lambda password, salt: hashed.append(password) or real(password, salt))
    accounts.check("nobody", "guess")
    assert hashed == ["guess"]


@pytest.mark.parametrize(
    ("name", "group", "password", "says"),
    [
        ("Ada Lovelace", "researcher", PASSWORD, "cannot name a login"),
        ("../ada", "researcher", PASSWORD, "cannot name a login"),
        ("ada", "admin", PASSWORD, "no group 'admin'"),
        ("ada", "researcher", "short", "at least 12"),
    ],
)
def test_bad_input_changes_nothing(accounts: Accounts, name: str, group: str, password: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        accounts.put(name, group, password)
    assert accounts.check("ada", PASSWORD) is not None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"ada": {"group": "researcher"}}', '{"ada": 7}'])
def test_a_damaged_file_lets_nobody_in(accounts: Accounts, tmp_path: Path, content: str) -> None:
    (tmp_path / "accounts.json").write_text(content)
    with pytest.raises(IntegrityFailure):
        accounts.check("ada", PASSWORD)


def test_jupyterhub_learns_the_name_and_the_group(accounts: Accounts, tmp_path: Path) -> None:
    authenticator = AccountsAuthenticator(path=str(tmp_path / "accounts.json"))

    def log_in(password: str) -> object:
        return asyncio.run(authenticator.authenticate(None, {"username": "ada", "password": password}))

    assert log_in(PASSWORD) == {"name": "ada", "groups": ["researcher"]}
    assert log_in("wrong") is None


def test_an_account_without_a_password_never_matches() -> None:
    assert not Account("", "00" * 16, "").has_password("")

"""The federation's certificates: made once, renewed in time, never a new authority by accident."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from synthema_core.errors import IntegrityFailure, InvalidInput
from synthema_hub.certificates import ensure

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def names(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return {
        str(name.value) for name in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    made = ensure(tmp_path, ("hub.example.org",), NOW)
    before = contents(tmp_path)
    assert ensure(tmp_path, (), NOW + timedelta(days=300)) == made
    assert contents(tmp_path) == before
    assert names(made.certificate) == {"hub.example.org", "localhost", "127.0.0.1"}


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    ensure(tmp_path, (), NOW)
    for key in ("ca.key", "server.key"):
        assert (tmp_path / key).stat().st_mode & 0o077 == 0


def test_the_servers_certificate_is_renewed_in_its_last_month_under_the_same_authority(tmp_path: Path) -> None:
    made = ensure(tmp_path, ("10.1.2.3",), NOW)
    before = contents(tmp_path)
    ensure(tmp_path, (), NOW + timedelta(days=380))
    after = contents(tmp_path)
    assert after["ca.pem"] == before["ca.pem"] and after["ca.key"] == before["ca.key"]
    assert after["server.pem"] != before["server.pem"]
    assert names(made.certificate) == {"10.1.2.3", "localhost", "127.0.0.1"}
    context = ssl.create_default_context(cafile=str(made.ca))
    context.load_cert_chain(made.certificate, made.key)


def test_a_new_host_is_added_to_the_ones_there_are(tmp_path: Path) -> None:
    ensure(tmp_path, ("one.example.org",), NOW)
    made = ensure(tmp_path, ("two.example.org",), NOW)
    assert {"one.example.org", "two.example.org"} <= names(made.certificate)


@pytest.mark.parametrize("lost", ["ca.pem", "ca.key"])
def test_half_an_authority_is_refused_and_not_replaced(tmp_path: Path, lost: str) -> None:
    ensure(tmp_path, (), NOW)
    (tmp_path / lost).unlink()
    with pytest.raises(IntegrityFailure, match="not complete"):
        ensure(tmp_path, (), NOW)
    assert not (tmp_path / lost).exists()


@pytest.mark.parametrize("host", ["https://hub", "hub:8443", "hub example", "", "a..b"])
def test_what_is_no_host_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidInput, match="neither a host name nor an address"):
        ensure(tmp_path, (host,), NOW)


def test_the_fingerprint_is_the_authoritys(tmp_path: Path) -> None:
    made = ensure(tmp_path, (), NOW)
    der = ssl.PEM_cert_to_DER_cert(made.ca.read_text())
    assert made.fingerprint() == hashlib.sha256(der).hexdigest()

"""The federation's certificate authority and the gateway's certificate: made once, the latter renewed in time.

The CA vouches for the hub's TLS alone. Sites trust it and no other, and learn it by its fingerprint when they join.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from synthema_core.errors import IntegrityFailure, InvalidInput

_CA_LIFE, _SERVER_LIFE, _RENEW_BEFORE = timedelta(days=3650), timedelta(days=397), timedelta(days=30)
_CLOCKS_DIFFER = timedelta(minutes=10)
_ALWAYS = ("127.0.0.1", "localhost")
"""The hub's own processes speak TLS with each other under these names."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the CA's certificate, the server's certificate and its key."""

    ca: Path
    certificate: Path
    key: Path

    def fingerprint(self) -> str:
        """SHA-256 of the CA's certificate, 64 hexadecimal digits: what an invitation carries."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca.read_text())).hexdigest()


def ensure(folder: Path, hosts: Sequence[str], now: datetime | None = None) -> Certificates:
    """The certificates in `folder`: made if absent, the server's renewed in its last month.

    Parameters
    ----------
    hosts
        Names or addresses under which sites reach the gateway. What the certificate names already stays in it.

    Raises
    ------
    InvalidInput
        For a host that is neither an address nor a name.
    IntegrityFailure
        If only some of the files are there: a new CA would shut every site out.
    """
    now = now or datetime.now(UTC)
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    ca_key = folder / "ca.key"
    if not files.ca.exists() and not ca_key.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_ca(files.ca, ca_key, now)
    if not (files.ca.exists() and ca_key.exists()):
        raise IntegrityFailure(
            f"The certificate authority in {folder} is not complete.", "Restore ca.pem and ca.key from a backup."
        )
    named, ends = _standing(files)
    wanted = sorted({*named, *hosts, *_ALWAYS})
    if not files.key.exists() or set(wanted) - named or ends - now < _RENEW_BEFORE:
        _make_server(files, ca_key, wanted, now)
    return files


def _standing(files: Certificates) -> tuple[set[str], datetime]:
    """The hosts the server's certificate names and its end; no hosts where there is none."""
    if not files.certificate.exists():
        return set(), datetime.min.replace(tzinfo=UTC)
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}, certificate.not_valid_after_utc


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(subject))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _make_ca(certificate: Path, key_path: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        _builder("Synthema federation", _subject("Synthema federation"), key.public_key(), now, _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    certificate.write_bytes(made.public_bytes(Encoding.PEM))


def _make_server(files: Certificates, ca_key_path: Path, hosts: Sequence[str], now: datetime) -> None:
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    ca_key = load_pem_private_key(ca_key_path.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder("Synthema hub", authority.subject, key.public_key(), now, _SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(files.key, key)
    files.certificate.write_bytes(made.public_bytes(Encoding.PEM))


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.split(".")
    if not all(label and all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in label) for label in labels):
        raise InvalidInput(f"'{host}' is neither a host name nor an address.", "Give it without scheme and port.")
    return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

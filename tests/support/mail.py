"""A real SMTP server on this machine, with and without TLS and a login, that keeps what it is given."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass
class Letters:
    """What the server took; and whom it refuses."""

    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        letter = message_from_bytes(envelope.content, policy=policy.default)
        self.taken += [(address, letter) for address in envelope.rcpt_tos]  # type: ignore[misc]
        return "250 OK"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        said = (data.login.decode(), data.password.decode())
        self.logins.append(said)
        return AuthResult(success=said == ("synthema", "a long password"), handled=False)

    def to(self, address: str) -> list[str]:
        """The texts that somebody was sent."""
        return [letter.get_content() for taker, letter in self.taken if taker == address]


class _Server(Controller):
    """On a port of its own choice; `security` as in notices.toml."""

    def __init__(self, letters: Letters, security: str, certificate: Path | None, login: bool) -> None:
        self._letters, self._security, self._login = letters, security, login
        self._context = _context(certificate) if certificate else None
        super().__init__(
            letters, hostname="127.0.0.1", port=0, ssl_context=self._context if security == "tls" else None
        )

    def factory(self) -> SMTP:
        return SMTP(
            self._letters,
            tls_context=self._context if self._security == "starttls" else None,
            require_starttls=self._security == "starttls",
            auth_required=self._login,
            auth_require_tls=self._security == "starttls",
            authenticator=self._letters.login,
        )

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(security: str = "none", certificate: Path | None = None, login: bool = False) -> Iterator[Any]:
    """Yields (its port, what it took)."""
    letters = Letters()
    server = _Server(letters, security, certificate, login)
    server.start()
    try:
        yield server.port, letters
    finally:
        server.stop()


def self_signed(folder: Path, address: str = "127.0.0.1") -> Path:
    """PEM of a certificate for that address and its key; it is its own authority."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "mail.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return path


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context

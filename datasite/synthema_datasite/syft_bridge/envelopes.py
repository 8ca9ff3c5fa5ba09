"""A job's files in one signed and encrypted envelope of syft, and out of it once the sender's signature holds.

Who sent it says nothing about what it asks: the files that come out are as untrusted as a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthema_core.canonical import canonical
from synthema_core.cli.files import read_secret, read_text
from synthema_core.errors import IntegrityFailure, InvalidInput, Unavailable
from synthema_datasite.syft_bridge.installed import syft_package
from synthema_datasite.syft_bridge.untrusted import opened_folder, read_file

_PACKAGE = "syft_crypto_python"
_LARGEST_ENVELOPE = 4_000_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who seals or opens: syft's own ``SyftBox/EMAIL/private/crypto_keys.json``."""

    email: str
    keys: Any


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom it is for, or from: a public bundle as syft's peers exchange it, a DID document with their ``identity``."""

    email: str
    bundle: Any

    def __str__(self) -> str:
        return f"{self.email} ({self.bundle.identity_fingerprint()})"


def read_identity(path: Path) -> Identity:
    """Raises InvalidInput if it is no file of keys, or others can read it."""
    keys = syft_package(_PACKAGE).SyftPrivateKeys
    try:
        data = json.loads(read_secret(path, ""))
        return Identity(_email(data["email"]), keys.from_jwks(data["keys_jwk"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(f"{path} holds no keys of syft.", "It is crypto_keys.json of a SyftBox.") from None


def read_bundle(path: Path) -> Peer:
    """Raises InvalidInput if it is no bundle, or its own signatures do not hold."""
    bundles = syft_package(_PACKAGE).SyftPublicKeyBundle
    try:
        data = json.loads(read_text(path))
        return Peer(_email(data["identity"]), bundles.from_did_document(data))  # which checks its signatures
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(f"{path} holds no public bundle of syft.", "Ask the peer for it again.") from None


def _email(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ValueError
    return value


def seal(files: Mapping[str, str], sender: Identity, recipient: Peer) -> bytes:
    """The envelope that only the recipient opens."""
    package = syft_package(_PACKAGE)
    to = [package.EncryptionRecipient(recipient.email, recipient.bundle)]
    return bytes(package.encrypt_message(sender.email, sender.keys, to, canonical(dict(files))))


def open_envelope(envelope: bytes, recipient: Identity, sender: Peer) -> dict[str, str]:
    """The files in it by path.

    Raises
    ------
    IntegrityFailure
        If the sender did not sign it, it was changed, or it is for somebody else.
    InvalidInput
        If it is no envelope, or holds no files.
    """
    package = syft_package(_PACKAGE)
    try:
        parsed = package.parse_envelope(envelope)
    except ValueError:
        raise InvalidInput("This is no envelope of syft.", "Ask the sender for it again.") from None
    try:
        content = package.decrypt_message(recipient.email, recipient.keys, sender.bundle, parsed)  # verifies first
    except ValueError:
        raise IntegrityFailure(
            f"The envelope is not one that {sender.email} signed for {recipient.email}.",
            "Compare the bundle's fingerprint.",
        ) from None
    return _files(bytes(content))


def _files(content: bytes) -> dict[str, str]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
        raise InvalidInput("The envelope holds no files.", "Ask the sender for it again.")
    return {str(path): text for path, text in data.items()}


def write_envelope(path: Path, files: Mapping[str, str], identity: Path, recipient: Path) -> Peer:
    """Seal the files into a new file; for whom it is."""
    peer = read_bundle(recipient)
    envelope = seal(files, read_identity(identity), peer)
    try:
        with path.open("xb") as file:
            file.write(envelope)
    except FileExistsError:
        raise InvalidInput(f"There is something at {path} already.", "Name a file that does not exist.") from None
    except OSError as error:
        raise Unavailable(f"The file {path} cannot be written: {error.strerror}.", "Check path and room.") from None
    return peer


def read_envelope(path: Path, identity: Path, sender: Path) -> tuple[Peer, dict[str, str]]:
    """Who signed it, and the files in it; raises as `open_envelope` does."""
    peer = read_bundle(sender)
    with opened_folder(path.parent) as folder:
        envelope = read_file(folder, path.name, _LARGEST_ENVELOPE)
    return peer, open_envelope(envelope, read_identity(identity), peer)

"""A datasite's state on disk: one 0700 folder with its Journal, keys, policy and rows. Nothing in it ever leaves."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from synthema_core.errors import InvalidInput, InvalidPolicy, NotAuthenticated, NotFound, Unavailable
from synthema_core.plan import valid_site_name
from synthema_core.policy import Policy, default_policy_toml, parse_policy

_SHORTEST_PASSPHRASE = 12


@dataclass(frozen=True, slots=True)
class HubContact:
    """What a site keeps of the hub it joined.

    Parameters
    ----------
    gateway
        host:port of the TLS gateway.
    hub_key
        Ed25519 key that signs Releases and countersigns heads.
    """

    gateway: str
    hub_key: str
    node: str


class SiteState:
    """Paths, keys and settings under one folder. `initialise` makes them; the constructor only finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not self._about.exists():
            raise NotFound(f"There is no datasite in {folder}.", "Make one with `synthema datasite init`.")
        about = json.loads(self._about.read_text())
        self.name: str = about["name"]
        self.title: str = about["title"]

    @classmethod
    def initialise(cls, folder: Path, name: str, title: str, policy: str = "") -> SiteState:
        """Make a new datasite's folder, keys and policy.

        Raises
        ------
        InvalidInput
            For a bad name, or a folder that is a datasite already (nothing is overwritten).
        """
        if not valid_site_name(name):
            raise InvalidInput(f"'{name}' cannot name a site.", "Use lower-case letters, digits and hyphens.")
        policy = policy or default_policy_toml()
        parse_policy(policy)
        about = folder / "site.json"
        if about.exists():
            raise InvalidInput(f"There is a datasite in {folder} already.", "Choose another --state.")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            (folder / "stewards").mkdir(exist_ok=True, mode=0o700)
            _write_secret(folder / "identity.key", Ed25519PrivateKey.generate().private_bytes_raw())
            node = ec.generate_private_key(ec.SECP384R1())
            _write_secret(folder / "node.key", node.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
            _write_secret(folder / "commitment.salt", secrets.token_bytes(32))
            (folder / "policy.toml").write_text(policy)
            about.write_text(json.dumps({"name": name, "title": title or name}))
        except OSError as error:
            raise Unavailable(
                f"The folder {folder} cannot be written: {error.strerror}.", "Choose another --state."
            ) from None
        return cls(folder)

    @property
    def _about(self) -> Path:
        return self.folder / "site.json"

    @property
    def journal_path(self) -> Path:
        return self.folder / "journal.sqlite"

    @property
    def rows_folder(self) -> Path:
        return self.folder / "rows"

    def staged_folder(self, request: str) -> Path:
        """Where the output of that Request's code waits for its release decision."""
        return self.folder / "staged" / hashlib.sha256(request.encode()).hexdigest()[:32]  # the hub chose the id

    @property
    def jobs_folder(self) -> Path:
        """Of what must survive a restart in the midst of a Job."""
        return self.folder / "jobs"

    def job_folder(self, job: str) -> Path:
        return self.jobs_folder / hashlib.sha256(job.encode()).hexdigest()[:32]  # the hub chose the id

    @property
    def ca_path(self) -> Path:
        return self.folder / "hub-ca.pem"

    def identity(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes((self.folder / "identity.key").read_bytes())

    def node_key(self) -> ec.EllipticCurvePrivateKey:
        key = load_ssh_private_key((self.folder / "node.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InvalidInput("The node key is not an elliptic-curve key.", "Restore it from a backup.")
        return key

    def node_public_key(self) -> str:
        """In OpenSSH form."""
        return self.node_key().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def salt(self) -> bytes:
        return (self.folder / "commitment.salt").read_bytes()

    def policy(self) -> Policy:
        """The policy as it stands now. Raises InvalidPolicy with the file's name."""
        path = self.folder / "policy.toml"
        try:
            return parse_policy(path.read_text())
        except OSError:
            raise InvalidPolicy(f"The policy {path} cannot be read.", "Restore it, or write it anew.") from None

    def sandbox(self) -> str:
        """Name of the backend that the site's server chose for code; empty where there is none."""
        path = self.folder / "sandbox"
        return path.read_text().strip() if path.exists() else ""

    def keep_sandbox(self, name: str) -> None:
        (self.folder / "sandbox").write_text(name)

    def contact(self) -> HubContact:
        path = self.folder / "hub.json"
        if not path.exists():
            raise NotFound(f"'{self.name}' has not joined a federation.", "Run `synthema datasite join`.")
        return HubContact(**json.loads(path.read_text()))

    def keep_contact(self, contact: HubContact, ca_pem: str) -> None:
        self.ca_path.write_text(ca_pem)
        (self.folder / "hub.json").write_text(json.dumps(asdict(contact)))

    def add_steward_key(self, name: str, passphrase: str) -> Ed25519PrivateKey:
        """Make a steward's key, kept encrypted under the passphrase."""
        if not valid_site_name(name):
            raise InvalidInput(f"'{name}' cannot name a steward.", "Use lower-case letters, digits and hyphens.")
        if len(passphrase) < _SHORTEST_PASSPHRASE:
            raise InvalidInput(f"A passphrase needs at least {_SHORTEST_PASSPHRASE} characters.")
        path = self._steward_path(name)
        if path.exists():
            raise InvalidInput(f"'{name}' is a steward already.", "Choose another name.")
        key = Ed25519PrivateKey.generate()
        kept = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
        try:
            _write_secret(path, kept)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise Unavailable(
                f"The key {path} cannot be written: {error.strerror}.", "Make room on the disk."
            ) from None
        return key

    def remove_steward_key(self, name: str) -> None:
        """Of a steward who did not become one: the Journal had no room."""
        self._steward_path(name).unlink(missing_ok=True)

    def unlock(self, steward: str, passphrase: str) -> Ed25519PrivateKey:
        """The steward's key, for one decision.

        Raises
        ------
        NotAuthenticated
            The same for an unknown steward and a wrong passphrase.
        """
        try:
            if not valid_site_name(steward):
                raise ValueError
            key = load_pem_private_key(self._steward_path(steward).read_bytes(), passphrase.encode())
        except (OSError, ValueError, TypeError):
            raise NotAuthenticated("The steward or the passphrase is wrong.") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise NotAuthenticated("The steward's key is not an Ed25519 key.")
        return key

    def _steward_path(self, name: str) -> Path:
        return self.folder / "stewards" / f"{name}.key"


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)

"""The hub's state on disk: one 0700 folder with its Journal, keys, tokens and certificates."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthema_core.errors import NotFound, Unavailable
from synthema_hub.certificates import Certificates, ensure

_SIGNING_KEY, _JOB_TOKEN, _CONTROL_TOKEN, _EXEC_SECRET = "signing.key", "job.token", "control.token", "exec.secret"


class HubState:
    """Paths and secrets under one folder. `HubState.initialise` makes them; the constructor only finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / _SIGNING_KEY).exists():
            raise NotFound(f"There is no hub in {folder}.", "Make one with `synthema hub init`.")

    @classmethod
    def initialise(cls, folder: Path, hosts: tuple[str, ...] = ()) -> HubState:
        """Make what is missing and leave alone what is there.

        Parameters
        ----------
        hosts
            Names or addresses under which the sites reach the gateway; for its certificate.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            (folder / "flower").mkdir(exist_ok=True, mode=0o700)
            ensure(folder / "certificates", hosts)
            _write_once(folder / _SIGNING_KEY, Ed25519PrivateKey.generate().private_bytes_raw())
            for token in (_JOB_TOKEN, _CONTROL_TOKEN, _EXEC_SECRET):
                _write_once(folder / token, secrets.token_urlsafe(32).encode())
        except OSError as error:
            raise Unavailable(
                f"The folder {folder} cannot be written: {error.strerror}.", "Choose another --state."
            ) from None
        return cls(folder)

    @property
    def journal_path(self) -> Path:
        return self.folder / "journal.sqlite"

    @property
    def accounts_path(self) -> Path:
        return self.folder / "accounts.json"

    @property
    def ports_path(self) -> Path:
        return self.folder / "ports.json"

    @property
    def certificates(self) -> Certificates:
        return ensure(self.folder / "certificates", ())

    @property
    def budgets_folder(self) -> Path:
        return self.folder / "budgets"

    @property
    def flower_folder(self) -> Path:
        return self.folder / "flower"

    @property
    def job_token_path(self) -> Path:
        return self.folder / _JOB_TOKEN

    @property
    def control_token_path(self) -> Path:
        return self.folder / _CONTROL_TOKEN

    @property
    def exec_secret_path(self) -> Path:
        return self.folder / _EXEC_SECRET

    def signing_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes((self.folder / _SIGNING_KEY).read_bytes())

    def job_token(self) -> str:
        return self.job_token_path.read_text()

    def control_token(self) -> str:
        return self.control_token_path.read_text()


def _write_once(path: Path, content: bytes) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(content)

"""Flower's SuperLink with its Control API behind a bearer token, of which the open-source build has none.

Started as ``python -m synthema_hub.federated.superlink`` with the options of ``flower-superlink``; the token is in the
file that SYNTHEMA_CONTROL_TOKEN_FILE names. The only module that puts something of ours into Flower's server.
"""

from __future__ import annotations

import hmac
import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from flwr.common.constant import ACCESS_TOKEN_KEY, NOOP_FLWR_AID
from flwr.supercore.auth.typing import AccountInfo
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin

from synthema_core.cli.processes import die_with_parent

TOKEN_FILE_VARIABLE = "SYNTHEMA_CONTROL_TOKEN_FILE"  # noqa: S105


class ControlGate(NoOpControlAuthnPlugin):
    """Lets one bearer token through: the federation service's. No token, no Control API."""

    def __init__(self) -> None:
        super().__init__()
        self._token = Path(os.environ[TOKEN_FILE_VARIABLE]).read_text().strip()
        if len(self._token) < 32:
            raise SystemExit("The control token is missing or too short.")

    def validate_tokens_in_metadata(
        self, metadata: Sequence[tuple[str, str | bytes]]
    ) -> tuple[bool, AccountInfo | None]:
        offered = str(dict(metadata).get(ACCESS_TOKEN_KEY, ""))
        if not hmac.compare_digest(offered.encode(), self._token.encode()):
            return False, None
        return True, AccountInfo(flwr_aid=NOOP_FLWR_AID, account_name="synthema-hub")


def main() -> None:
    die_with_parent()
    # flwr.superlink.cli re-exports a function under the module's name: import the module itself.
    command = importlib.import_module("flwr.superlink.cli.flower_superlink")
    command.load_control_authn_plugin = ControlGate  # type: ignore[attr-defined]
    command.flower_superlink()


if __name__ == "__main__":
    main()

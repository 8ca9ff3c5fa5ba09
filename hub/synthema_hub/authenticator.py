"""JupyterHub's login on the local accounts, which also say who is in which group."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from traitlets import Unicode

from synthema_hub.accounts import Accounts


class AccountsAuthenticator(Authenticator):
    """Asks `Accounts`. In production a hospital's own login service takes its place (oauthenticator)."""

    path = Unicode(help="The file of accounts.").tag(config=True)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """The hub's model of the user, or None. scrypt takes a tenth of a second: not in the event loop's thread."""
        del handler
        name = data["username"]
        account = await asyncio.to_thread(Accounts(Path(self.path)).check, name, data["password"])
        return {"name": name, "groups": [account.group]} if account else None

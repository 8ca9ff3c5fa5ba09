"""JupyterHub's configuration, as `synthema hub serve` runs it: local accounts, our proxy, our service, local notebooks.

A deployment with a login service or a cluster replaces the authenticator and the spawner; scopes, roles and the
service stay.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from synthema_core.cli.tied import tied
from synthema_hub.authenticator import AccountsAuthenticator
from synthema_hub.settings import Settings
from synthema_hub.spawner import LocalSpawner
from synthema_hub.state import HubState

c: Any = get_config()  # type: ignore[name-defined]  # noqa: F821  JupyterHub puts it here
settings = Settings.from_environment(os.environ)
state = HubState(settings.state)
ports = settings.ports

c.JupyterHub.bind_url = f"http://127.0.0.1:{ports.browser}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{ports.hub_api}"
c.JupyterHub.db_url = f"sqlite:///{state.folder.resolve()}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(state.folder / "cookie.secret")
c.JupyterHub.load_groups = {}
c.JupyterHub.log_level = "WARN"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{ports.proxy_api}"
c.ConfigurableHTTPProxy.command = [sys.executable, "-m", "synthema_hub.proxy.browser"]
c.ConfigurableHTTPProxy.pid_file = str(state.folder / "proxy.pid")

c.JupyterHub.authenticator_class = AccountsAuthenticator
c.AccountsAuthenticator.path = str(state.accounts_path)
c.Authenticator.manage_groups = True
c.Authenticator.allow_all = True  # everybody who has an account

# What a person may do comes from the group; what a notebook's token may do, from that and the list below it.
FEDERATION = "custom:federation"
c.JupyterHub.custom_scopes = {
    f"{FEDERATION}:read": {"description": "See sites, catalogue and own requests"},
    f"{FEDERATION}:submit": {"description": "Submit requests", "subscopes": [f"{FEDERATION}:read"]},
    f"{FEDERATION}:review": {"description": "See the queue of requests", "subscopes": [f"{FEDERATION}:read"]},
    f"{FEDERATION}:operate": {"description": "Operate the federation", "subscopes": [f"{FEDERATION}:read"]},
}
SCOPES = list(c.JupyterHub.custom_scopes)
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "access:services!service=federation"]},
    {"name": "researcher", "scopes": [f"{FEDERATION}:submit"], "groups": ["researcher"]},
    {"name": "data-owner", "scopes": [f"{FEDERATION}:review"], "groups": ["data-owner"]},
    {"name": "operator", "scopes": [f"{FEDERATION}:operate", "admin-ui", "list:users"], "groups": ["operator"]},
]
c.Spawner.server_token_scopes = [
    "users:activity!user",
    "access:servers!server",
    "access:services!service=federation",
    *SCOPES,
]

c.JupyterHub.services = [
    {
        "name": "federation",
        "url": f"http://127.0.0.1:{ports.service}",
        "command": [sys.executable, "-m", "synthema_hub.service.app"],
        "environment": settings.to_environment(),
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": SCOPES,
        "display": True,
    }
]

c.JupyterHub.spawner_class = LocalSpawner
c.LocalSpawner.home_dir_template = str(state.folder.resolve() / "homes" / "{username}")
c.Spawner.cmd = tied("jupyterhub.singleuser")
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = 90
c.Spawner.environment = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
    "SYNTHEMA_FEDERATION_URL": f"http://127.0.0.1:{ports.browser}/services/federation",
    "JUPYTER_CONFIG_PATH": str(LocalSpawner.lab_settings()),
}

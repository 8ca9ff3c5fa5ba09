"""How the hub's processes are run: said once by `synthema hub serve`, told to them by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from synthema_core.errors import InvalidInput

_STATE, _PORTS = "SYNTHEMA_HUB_STATE", "SYNTHEMA_HUB_PORTS"
_SERVICE_URL, _SERVICE_PREFIX = "JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_PREFIX"


@dataclass(frozen=True, slots=True)
class HubPorts:
    """Every port of a hub. `browser` and `gateway` are its faces; the others are its own, on this machine alone."""

    browser: int
    gateway: int
    hub_api: int
    proxy_api: int
    service: int
    superlink: int

    def spell(self) -> str:
        return ",".join(str(getattr(self, name)) for name in self.__slots__)

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(*(int(part) for part in text.split(",")))


@dataclass(frozen=True, slots=True)
class Settings:
    """What JupyterHub and the federation service are told.

    Parameters
    ----------
    service_url, service_prefix
        Where JupyterHub wants the service to listen, and under which path; empty in JupyterHub itself.
    """

    state: Path
    ports: HubPorts
    service_url: str = ""
    service_prefix: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises InvalidInput where the hub was not started by its own verb."""
        try:
            return cls(
                state=Path(environment[_STATE]),
                ports=HubPorts.read(environment[_PORTS]),
                service_url=environment.get(_SERVICE_URL, ""),
                service_prefix=environment.get(_SERVICE_PREFIX, ""),
            )
        except (KeyError, TypeError, ValueError):
            raise InvalidInput("The hub's settings are not in the environment.", "Use `synthema hub serve`.") from None

    def to_environment(self) -> dict[str, str]:
        return {_STATE: str(self.state), _PORTS: self.ports.spell()}

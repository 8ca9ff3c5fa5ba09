"""The one place of the kernel that reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from synthema_core.errors import Unavailable

URL, TOKEN = "SYNTHEMA_FEDERATION_URL", "JUPYTERHUB_API_TOKEN"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the federation service is, and the hub token that speaks for this notebook's owner.

    Parameters
    ----------
    federation_url
        The service's address with its prefix, such as ``http://127.0.0.1:8000/services/federation``.
    """

    federation_url: str
    token: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises Unavailable, naming the variable, where one is not set."""
        for name in (URL, TOKEN):
            if not environment.get(name):
                raise Unavailable(
                    f"This notebook is not connected to a federation: {name} is not set.",
                    "Start it from the hub, which sets it.",
                )
        return cls(environment[URL].rstrip("/"), environment[TOKEN])

"""What a researcher's notebook loads: ``%load_ext synthema_kernel``, then ``%fed help`` and ``%%remote``.

Loading stays under a second: pandas, papermill, the widgets and the analyses are imported when first used.
"""

from __future__ import annotations

from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%fed`` and ``%%remote``. Called by ``%load_ext synthema_kernel``."""
    from synthema_kernel.magics import FederationMagics

    ipython.register_magics(FederationMagics(ipython))

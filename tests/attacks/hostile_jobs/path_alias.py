"""Look whether other datasets lie beside this one."""

from os import path as p


def study(rows):
    return {"found": float(p.exists("/var/lib/synthema/datasets"))}  # noqa: PTH110

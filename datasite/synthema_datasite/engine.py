"""Which engine computes here: a digest over every byte that decides a Contribution, and the versions beneath it.

A Plan carries it. A site with another engine refuses, because another engine is another computation than the one
its steward approved.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

from synthema_core.canonical import digest

_PACKAGES = ("synthema_core", "synthema_datasite")
_ANALYSES = "synthema.analyses"
_LIBRARIES = (
    "cryptography",
    "diffprivlib",
    "duckdb",
    "numpy",
    "opendp",
    "pandas",
    "pyarrow",
    "pyseccomp",
    "safetensors",
    "scikit-learn",
    "scipy",
)


@cache
def engine_digest() -> str:
    """64 hexadecimal digits; the same on every site with the same release of Synthema and its libraries."""
    files = {
        f"{package}/{name}": hashlib.sha256(content).hexdigest()
        for package in _PACKAGES
        for name, content in _sources(resources.files(package), "")
    }
    files |= {name: hashlib.sha256(content).hexdigest() for name, content in _added_analyses()}
    versions = {library: metadata.version(library) for library in _LIBRARIES}
    return digest({"files": files, "libraries": versions, "python": platform.python_version_tuple()[:2]})


def _added_analyses() -> list[tuple[str, bytes]]:
    """Sources of the distributions that add analyses of their own: their code computes here as ours does."""
    points = metadata.entry_points(group=_ANALYSES)
    added = {
        point.dist.name: point.dist for point in points if point.dist is not None and point.dist.name != "synthema"
    }
    return [
        (f"{name}/{file}", file.read_binary())
        for name, distribution in sorted(added.items())
        for file in sorted(distribution.files or [], key=str)
        if str(file).endswith(".py")
    ]


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir() and item.name != "__pycache__":
            found += _sources(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".py"):
            found.append((prefix + item.name, item.read_bytes()))
    return found

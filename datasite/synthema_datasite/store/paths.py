"""Names of the files in a folder of staged output."""

from __future__ import annotations

from pathlib import Path


def output_path(folder: Path) -> Path:
    return folder / "output.safetensors"


def report_path(folder: Path) -> Path:
    return folder / "report.json"

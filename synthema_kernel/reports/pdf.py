"""A report's page as a PDF, printed by a Chromium that is on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from synthema_core.errors import Unavailable

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 120
_QUIET = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--no-pdf-header-footer")


def print_pdf(page: Path) -> Path:
    """Print it beside itself; return the PDF's path.

    Raises
    ------
    Unavailable
        If there is no Chromium, or it printed nothing.
    """
    browser = next((found for found in map(shutil.which, _BROWSERS) if found), None)
    if browser is None:
        raise Unavailable(
            "A PDF is printed by Chromium, and there is none.", f"Install `chromium`; the page is in {page}."
        )
    target = page.with_suffix(".pdf")
    target.unlink(missing_ok=True)
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium has none for root; the page has no scripts
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *_QUIET, *as_root, f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
        try:
            subprocess.run([*command, page.resolve().as_uri()], capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable("Chromium did not print the report in time.", f"The page is in {page}.") from None
    if not target.exists():
        raise Unavailable("Chromium printed no PDF.", f"The page is in {page}: open it and print it.")
    return target

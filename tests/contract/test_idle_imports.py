"""What an idle datasite keeps in memory: nothing that only a Job, a check or an evaluation needs."""

from __future__ import annotations

import subprocess
import sys

_LARGE = (
    "dp_accounting",
    "duckdb",
    "opendp",
    "pandas",
    "pyarrow",
    "scipy.optimize",
    "scipy.sparse",
    "sklearn",
    "torch",
)


def test_a_datasite_that_has_nothing_to_do_loads_nothing_large() -> None:
    asked = f"import sys, synthema_datasite.app; print(*[name for name in {_LARGE} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

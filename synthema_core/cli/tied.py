"""Running a module so that it ends with its parent: ``python -m synthema_core.cli.tied MODULE ARGUMENTS``.

For programs that are not ours; a parent killed by kill -9 would leave them behind.
"""

from __future__ import annotations

import runpy
import sys

from synthema_core.cli.processes import die_with_parent


def tied(module: str, *words: str) -> list[str]:
    """The argument list that runs `module` tied to the process that starts it."""
    return [sys.executable, "-m", "synthema_core.cli.tied", module, *words]


def main() -> None:
    die_with_parent()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

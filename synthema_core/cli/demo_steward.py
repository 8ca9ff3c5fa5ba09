"""A steward of the demonstration: reads what waits, and says yes by the real verbs with a passphrase.

Of what code put out, it leaves out the cells that the site's own checks would leave out; a real steward looks at it.

Run as ``python -m synthema_core.cli.demo_steward STATE STEWARD PASSPHRASE_FILE``. There is no way around the
passphrase: without its file this process can do nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from synthema_core.cli.processes import die_with_parent, run_verb
from synthema_core.errors import Unavailable

_WAIT_SECONDS = "20"


def main() -> None:
    die_with_parent()
    state, steward, passphrase_file = sys.argv[1:]
    while True:
        waiting = json.loads(
            run_verb("datasite", "review", "list", "--json", "--wait", _WAIT_SECONDS, "--state", state)
        )
        for request in waiting:
            print(run_verb("datasite", "review", "show", request["id"], "--state", state), flush=True)
            words = ("--steward", steward, "--passphrase-file", passphrase_file, "--plan", request["plan_digest"])
            print(_decide(request, (*words, "--state", state)), flush=True)


def _decide(request: Mapping[str, Any], words: tuple[str, ...]) -> str:
    """Yes; or no, with the reason why not, such as that the site's limits are reached."""
    verb, more = _yes(request)
    try:
        return run_verb("datasite", "review", verb, request["id"], *words, *more)
    except Unavailable as error:
        no = "reject" if verb == "approve" else "withhold"
        kept = more[:2]  # the output
        with suppress(Unavailable):  # the request has ended in the meantime
            return run_verb("datasite", "review", no, request["id"], *words, *kept, "--reason", str(error))
        return str(error)


def _yes(request: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The verb that says yes to what it waits for, and what it needs."""
    if request["waits_for"] == "review":
        return "approve", []
    redacted = [word for cell in request["suggestion"] for word in ("--redact", cell)]
    return "release", ["--output", request["output"], *redacted]


if __name__ == "__main__":
    main()

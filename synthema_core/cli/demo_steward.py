"""A steward of the demonstration: waits for requests, reads each, approves it by the real verb with a passphrase.

Run as ``python -m synthema_core.cli.demo_steward STATE STEWARD PASSPHRASE_FILE``. There is no way around the
passphrase: without its file this process can do nothing.
"""

from __future__ import annotations

import json
import sys

from synthema_core.cli.processes import die_with_parent, run_verb

_WAIT_SECONDS = "20"


def main() -> None:
    die_with_parent()
    state, steward, passphrase_file = sys.argv[1:]
    while True:
        waiting = json.loads(
            run_verb("datasite", "review", "list", "--json", "--wait", _WAIT_SECONDS, "--state", state)
        )
        for request in waiting:
            words = ("--steward", steward, "--passphrase-file", passphrase_file, "--plan", request["plan_digest"])
            print(run_verb("datasite", "review", "show", request["id"], "--state", state), flush=True)
            print(run_verb("datasite", "review", "approve", request["id"], *words, "--state", state), flush=True)


if __name__ == "__main__":
    main()

"""What the tests of the bridge to syft share: hostile YAML, and all that a site could have taken from a folder."""

from __future__ import annotations

from support.site import TrialSite

OWNER = "do@hospital.example"
ALIASES = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
OBJECT = "!!python/object/apply:os.system ['touch ran']\n"


def state_of(here: TrialSite) -> tuple[int, list[str]]:
    """All that the site has recorded, and what lies in its folder."""
    journal = here.site.journal
    entries = sum(len(journal.entries(stream)) for stream in journal.streams(""))
    return entries, sorted(path.name for path in here.state.folder.rglob("*") if "journal" not in path.name)

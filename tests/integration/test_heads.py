"""Countersigned heads between a real site and the hub's desk: neither journal can be cut, set back or forked unseen."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.builders import KEYS, at
from support.site import HUB_KEY, PASSPHRASE, STEWARD, TrialSite
from synthema_core.canonical import Json
from synthema_core.errors import IntegrityFailure
from synthema_core.heads import OWN, countersign
from synthema_core.identity import public_key
from synthema_core.journal import GENESIS, Draft, Head
from synthema_core.sqlite_journal import SqliteJournal
from synthema_datasite.service.heads import check_own_journal, exchange_heads
from synthema_datasite.service.hub_line import HubLine
from synthema_datasite.service.reviewing import Reviewing
from synthema_datasite.service.site import Site
from synthema_datasite.state import HubContact
from synthema_hub.service.records import SiteRecord
from synthema_hub.service.site_desk import SiteDesk

_numbers = count(1)
OLDER = "older than its countersigned head"


class Hub:
    """The hub's side: its Journal, its desk, and what a hostile one would change in the desk's answer."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.journal = SqliteJournal(folder / "hub.sqlite")
        self.key = HUB_KEY
        identity = public_key(site.state.identity())
        self._member = SiteRecord(site.name, site.name, identity, 1, "", (), {})
        self.changed: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer

    def heads(self, statement: dict[str, Json]) -> dict[str, Any]:
        return self.changed(SiteDesk(self.journal, self.key).exchange_heads(self._member, statement))

    def note(self, number: int = 1) -> None:
        with self.journal.writing() as writer:
            for index in range(number):
                writer.append(Draft("site/alder", "announce", "alder", at(), {"number": index}))


class Pair:
    """A site and its hub, with what an attacker on either machine can do to the files."""

    def __init__(self, folder: Path) -> None:
        self.here = TrialSite(folder)
        self.site, self.hub = self.here.site, Hub(folder, self.here.site)
        self.hub.note(3)

    def exchange(self) -> None:
        exchange_heads(self.site, self.hub, public_key(HUB_KEY))

    def note(self, number: int = 1) -> None:
        """Something happens at the site, and never the same again."""
        for _ in range(number):
            with self.site.journal.writing() as writer:
                writer.append(Draft("note", "note", "alder", at(), {"number": next(_numbers)}))

    def start_again(self) -> None:
        """A new process of the site, over the same folder."""
        self.site.journal.close()
        self.site = Site.open(self.site.state, self.here.clock)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def cut(journal: SqliteJournal, keep: int, *, anchors: bool) -> None:
    """With a tool, past the guards; and the guards are put back."""
    journal.close()
    connection = sqlite3.connect(journal.path)
    guards = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in guards:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM journal WHERE sequence > ?", (keep,))
    if anchors:
        connection.execute("DELETE FROM anchor")
    for _, statement in guards:
        connection.execute(statement)
    connection.commit()
    connection.close()


def copied(journal: SqliteJournal, folder: Path) -> Path:
    """A backup, as an engineer takes it."""
    journal.close()
    backup = sqlite3.connect(folder / "backup.sqlite")
    source = sqlite3.connect(journal.path)
    source.backup(backup)
    source.close()
    backup.close()
    return folder / "backup.sqlite"


def restored(journal: SqliteJournal, backup: Path) -> None:
    journal.close()
    for suffix in ("-wal", "-shm"):
        journal.path.with_name(journal.path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(backup, journal.path)


def test_both_sides_keep_the_others_newest_head_countersigned(pair: Pair) -> None:
    for _ in range(3):
        pair.exchange()
        head, signature = pair.site.journal.anchor("own")
        assert (head, signature) == (pair.site.journal.head(), countersign(HUB_KEY, "alder", head))
        head, signature = pair.site.journal.anchor("hub")
        assert (head, signature) == (pair.hub.journal.head(), countersign(HUB_KEY, OWN, head))
        head, signature = pair.hub.journal.anchor("alder")
        assert (head, signature) == (
            pair.site.journal.head(),
            countersign(pair.site.state.identity(), "alder", head),
        )
        pair.note(2)
        pair.hub.note()
    check_own_journal(pair.site)


def test_a_cut_tail_is_noticed_at_the_start(pair: Pair) -> None:
    pair.note(4)
    pair.exchange()
    cut(pair.site.journal, pair.site.journal.head().sequence - 2, anchors=False)
    pair.start_again()
    pair.site.journal.verify()  # the chain alone does not notice
    with pytest.raises(IntegrityFailure, match=OLDER):
        check_own_journal(pair.site)


@pytest.mark.parametrize("added_since", [0, 1, 5])
def test_a_tail_cut_together_with_its_anchors_is_noticed_by_the_hub(pair: Pair, added_since: int) -> None:
    """Whoever can cut one table can cut the other; the hub still shows what the site signed."""
    pair.note(4)
    pair.exchange()
    cut(pair.site.journal, pair.site.journal.head().sequence - 2, anchors=True)
    pair.start_again()
    pair.note(added_since)
    check_own_journal(pair.site)  # on this machine nothing is left that could tell
    for _ in range(3):
        with pytest.raises(IntegrityFailure, match=OLDER):
            pair.exchange()
        pair.note()
    assert pair.site.journal.anchor("own") == (Head(), ""), "the shorter journal is not countersigned after all"


@pytest.mark.parametrize("lived_on", [0, 1, 3, 9])
def test_a_restored_old_copy_is_refused_however_long_it_lives_on(pair: Pair, tmp_path: Path, lived_on: int) -> None:
    """It would have forgotten an approval that was used and a charge that was spent."""
    plan = pair.here.plan()
    pair.here.submitted(plan)
    backup = copied(pair.site.journal, tmp_path)
    Reviewing(pair.site).approve("r1", STEWARD, PASSPHRASE)
    pair.exchange()
    restored(pair.site.journal, backup)
    pair.start_again()
    pair.note(lived_on)
    pair.site.journal.verify()
    for _ in range(3):  # and however often it asks
        with pytest.raises(IntegrityFailure, match=OLDER):
            pair.exchange()
        pair.note()


def test_a_copy_as_old_as_its_countersigned_head_is_taken(pair: Pair, tmp_path: Path) -> None:
    pair.exchange()
    backup = copied(pair.site.journal, tmp_path)
    pair.note(2)
    restored(pair.site.journal, backup)
    pair.start_again()
    check_own_journal(pair.site)
    pair.exchange()


def test_a_fork_of_the_same_length_is_refused(pair: Pair, tmp_path: Path) -> None:
    backup = copied(pair.site.journal, tmp_path)
    pair.note()
    pair.exchange()
    length = pair.site.journal.head().sequence
    restored(pair.site.journal, backup)
    pair.start_again()
    with pair.site.journal.writing() as writer:
        writer.append(Draft("note", "note", "eve", at(), {"another": "story"}))
    assert pair.site.journal.head().sequence == length
    with pytest.raises(IntegrityFailure, match=OLDER):
        pair.exchange()


def test_the_hub_refuses_a_fork_of_the_same_length_by_itself(pair: Pair) -> None:
    pair.exchange()
    head = Head(pair.site.journal.head().sequence, "ab" * 32)
    signature = countersign(pair.site.state.identity(), "alder", head)
    with pytest.raises(IntegrityFailure, match="forked"):
        pair.hub.heads({"head": head.to_dict(), "signature": signature, "hub_head": None})


def test_a_site_that_shows_one_head_keeps_to_it(pair: Pair) -> None:
    """The hub forgets that it has the site's head; the site's own anchor still tells."""
    pair.note(4)
    pair.exchange()
    cut(pair.hub.journal, pair.hub.journal.head().sequence, anchors=True)
    cut(pair.site.journal, pair.site.journal.head().sequence - 1, anchors=False)
    pair.start_again()
    with pytest.raises(IntegrityFailure, match=OLDER):
        check_own_journal(pair.site)


def test_the_hubs_journal_set_back_is_noticed_by_the_hub_that_asks(pair: Pair) -> None:
    pair.exchange()
    cut(pair.hub.journal, pair.hub.journal.head().sequence - 1, anchors=True)
    pair.hub.journal.close()
    with pytest.raises(IntegrityFailure, match=OLDER):
        pair.exchange()


def shown(pair: Pair, head: Head) -> dict[str, Any]:
    return {**head.to_dict(), "signature": countersign(pair.hub.key, OWN, head)}


def test_the_hubs_journal_set_back_is_refused_by_the_site(pair: Pair) -> None:
    """By a hub that does not look, and signs its shorter journal as its head."""
    older = pair.hub.journal.head()
    pair.hub.note(2)
    pair.exchange()
    kept = pair.site.journal.anchor("hub")
    pair.hub.changed = lambda answer: {**answer, "hub": shown(pair, older)}
    with pytest.raises(IntegrityFailure, match="hub's journal"):
        pair.exchange()
    assert pair.site.journal.anchor("hub") == kept


def test_the_hubs_journal_forked_is_refused_by_the_site(pair: Pair) -> None:
    pair.exchange()
    kept = pair.site.journal.anchor("hub")
    other = Head(pair.hub.journal.head().sequence, "ab" * 32)
    pair.hub.changed = lambda answer: {**answer, "hub": shown(pair, other)}
    with pytest.raises(IntegrityFailure, match="hub's journal"):
        pair.exchange()
    assert pair.site.journal.anchor("hub") == kept


def with_part(part: str, **changes: Json) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, part: {**answer[part], **changes}}


def countersigned_by(site: str, owner: str, head: Head) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {**answer, "countersigned": countersign(KEYS[site], owner, head)}


@pytest.mark.parametrize("case", ["another key", "another owner", "another head", "the hub's head", "none", "a number"])
def test_a_forged_countersignature_is_refused(pair: Pair, case: str) -> None:
    pair.exchange()
    kept = pair.site.journal.anchor("own")
    pair.note()
    head = pair.site.journal.head()
    changed = {
        "another key": countersigned_by("birch", "alder", head),
        "another owner": countersigned_by("douglas", "birch", head),
        "another head": countersigned_by("douglas", "alder", Head(head.sequence, GENESIS)),
        "the hub's head": countersigned_by("douglas", OWN, head),
        "none": lambda answer: {**answer, "countersigned": ""},
        "a number": lambda answer: {**answer, "countersigned": 7},
    }
    pair.hub.changed = changed[case]
    with pytest.raises(IntegrityFailure, match="journal-head"):
        pair.exchange()
    assert pair.site.journal.anchor("own") == kept


@pytest.mark.parametrize(
    "changed",
    [
        with_part("hub", signature=""),
        with_part("hub", digest="ab" * 32),
        with_part("hub", sequence=99),
        with_part("kept", digest="ab" * 32),
        with_part("kept", sequence=1),
        with_part("kept", signature="00" * 64),
    ],
)
def test_a_head_that_nobody_signed_is_refused(pair: Pair, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    pair.exchange()
    kept = pair.site.journal.anchor("hub")
    pair.hub.note()
    pair.hub.changed = changed
    with pytest.raises(IntegrityFailure):
        pair.exchange()
    assert pair.site.journal.anchor("hub") == kept


@pytest.mark.parametrize("left_out", ["kept", "countersigned", "hub"])
def test_an_answer_that_lacks_a_part_is_refused(pair: Pair, left_out: str) -> None:
    pair.hub.changed = lambda answer: {key: value for key, value in answer.items() if key != left_out}
    with pytest.raises(IntegrityFailure):
        pair.exchange()


def test_the_hub_takes_no_head_that_the_site_did_not_sign(pair: Pair) -> None:
    head = pair.site.journal.head()
    for key, owner in ((KEYS["birch"], "alder"), (pair.site.state.identity(), "birch")):
        statement = {"head": head.to_dict(), "signature": countersign(key, owner, head), "hub_head": None}
        with pytest.raises(IntegrityFailure):
            pair.hub.heads(statement)
    assert pair.hub.journal.anchor("alder") == (Head(), "")


def test_jobs_are_taken_only_while_the_heads_agree(pair: Pair) -> None:
    pair.site.state.keep_contact(HubContact("127.0.0.1:9", public_key(HUB_KEY), "1"), "")
    line = HubLine(pair.site, pair.hub, "http://127.0.0.1/", lambda request, job: None)  # type: ignore[arg-type]
    assert not line.in_step.is_set(), "nothing was compared yet"
    line._exchange_heads()
    assert line.in_step.is_set()
    pair.hub.changed = with_part("hub", signature="")
    with pytest.raises(IntegrityFailure):
        line._exchange_heads()
    assert not line.in_step.is_set()
    pair.hub.changed = lambda answer: answer
    line._exchange_heads()
    assert line.in_step.is_set()

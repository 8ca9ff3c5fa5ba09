"""The loops that keep a site and its hub in step: facts in, Reviews and budgets out, heads countersigned."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from synthema_core.canonical import Json
from synthema_core.errors import (
    IntegrityFailure,
    InvalidInput,
    InvalidPolicy,
    SynthemaError,
    TransitionDenied,
    Unavailable,
)
from synthema_core.journal import Head
from synthema_datasite.hub_client import LONG_POLL_SECONDS, HubClient
from synthema_datasite.service.budget_reading import read_budgets
from synthema_datasite.service.heads import exchange_heads
from synthema_datasite.service.intake import BeginRun, Fact, Intake
from synthema_datasite.service.outbox import Outbox
from synthema_datasite.service.records import stewards
from synthema_datasite.service.register import Register
from synthema_datasite.service.site import Site

_log = logging.getLogger(__name__)
_OUTBOX_SECONDS = 0.3
_ANNOUNCE_SECONDS = 1.0
_HEADS_SECONDS = 60.0
_RETRY_SECONDS = 2.0


class Bookmark:
    """How far this site has read the hub's feed and told its own Journal. Losing it costs time, nothing else."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._places: dict[str, int] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):
            self._places = {str(name): int(place) for name, place in json.loads(path.read_text()).items()}

    def get(self, name: str) -> int:
        return self._places.get(name, 0)

    def set(self, name: str, place: int) -> None:
        with self._lock:
            if self._places.get(name) == place:
                return
            self._places[name] = place
            fresh = self._path.with_suffix(".new")
            try:
                fresh.write_text(json.dumps(self._places))
                fresh.replace(self._path)
            except OSError as error:
                raise Unavailable(f"The bookmark {self._path} cannot be written: {error.strerror}.") from None


class HubLine:
    """A thread around each use case; each survives whatever the hub does.

    Parameters
    ----------
    page
        Where the site's stewards find its page; shown to people at the hub as a link.
    begin_run
        Told (request, job) when every site has approved code with a release decision. Returns at once.
    also
        Further turns to take, by name: each says how long to wait before the next.

    Attributes
    ----------
    announced
        Set once the hub knows this site's Datasets.
    in_step
        Set while both sides' journals hold what the other has countersigned. Cleared, no Job is opened here.
    """

    def __init__(
        self,
        site: Site,
        hub: HubClient,
        page: str,
        begin_run: BeginRun,
        also: Mapping[str, Callable[[], float]] = MappingProxyType({}),
    ) -> None:
        self._site, self._hub, self._page, self._also = site, hub, page, also
        self._hub_key = site.state.contact().hub_key
        self._intake = Intake(site, self._hub_key, begin_run)
        self._outbox = Outbox(site.journal, hub)
        self._bookmark = Bookmark(site.state.folder / "bookmark.json")
        self._stop = threading.Event()
        self._told: tuple[Head, str] | None = None
        self._register = Register(site)
        self._told_budgets: list[Json] | None = None
        self.announced, self.in_step = threading.Event(), threading.Event()

    def start(self) -> None:
        loops = {
            "heads": self._exchange_heads,
            "announce": self._announce,
            "budgets": self._tell_budgets,
            "feed": self._read_feed,
            "outbox": self._empty_outbox,
            **self._also,
        }
        for name, turn in loops.items():
            threading.Thread(target=self._keep, args=(turn,), name=name, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _keep(self, turn: Callable[[], float]) -> None:
        """Take turns until stopped; each says how long to wait before the next."""
        told = ""
        while not self._stop.is_set():
            try:
                pause = turn()
                told = ""
            except SynthemaError as error:
                pause = _RETRY_SECONDS
                if str(error) != told:
                    _log.warning("%s", error)
                told = str(error)
            except Exception:  # the outermost loop: record and go on
                _log.exception("A loop of the hub line broke.")
                pause = _RETRY_SECONDS
            self._stop.wait(pause)

    def _read_feed(self) -> float:
        after = self._bookmark.get("feed")
        page = self._hub.feed(after, LONG_POLL_SECONDS)
        for data in page["facts"]:
            try:
                self._intake.take(Fact.from_dict(data))
            except InvalidPolicy:  # ours to mend, not the fact's fault: it is read again when the policy holds
                raise
            except (InvalidInput, IntegrityFailure, TransitionDenied) as error:
                _log.warning("A fact from the hub was left out: %s", error)
        self._bookmark.set("feed", int(page["next"]))
        return 0.0

    def _announce(self) -> float:
        """Tell the hub of Datasets, limits and stewards: now, and when the Journal or the Policy has changed."""
        now = self._site.journal.head(), self._site.state.policy().digest
        if now != self._told:
            cards: list[Json] = [card.to_dict() for card in self._site.cards()]
            self._hub.announce(cards, stewards(self._site.journal), self._page)
            self._told = now
            self.announced.set()
        return _ANNOUNCE_SECONDS

    def _tell_budgets(self) -> float:
        """Where the Budgets stand, for researchers to plan with: when a Charge, a promise or the Policy changed it."""
        readings = read_budgets(self._site, self._register.lines())
        standing: list[Json] = [reading.public().to_dict() for reading in readings]
        if standing != self._told_budgets:
            self._hub.budgets(standing)
            self._told_budgets = standing
        return _ANNOUNCE_SECONDS

    def _empty_outbox(self) -> float:
        """The hub takes a steward's word once it knows the steward: announce before telling."""
        place = self._bookmark.get("outbox")
        if place < self._site.journal.head().sequence:
            with suppress(InvalidPolicy):  # ours to mend; what has happened is told all the same
                self._announce()
            self._bookmark.set("outbox", self._outbox.deliver(place))
        return _OUTBOX_SECONDS

    def _exchange_heads(self) -> float:
        try:
            exchange_heads(self._site, self._hub, self._hub_key)
        except IntegrityFailure:
            self.in_step.clear()
            raise
        self.in_step.set()
        return _HEADS_SECONDS

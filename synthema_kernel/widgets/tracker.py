"""A card that follows one Request from submitted to released, by itself, while the kernel stays free."""

from __future__ import annotations

import logging
import threading
from typing import Any

import anywidget
import traitlets

import synthema_views
from synthema_core.errors import SynthemaError
from synthema_kernel.client import FederationClient, View, has_ended
from synthema_kernel.progress import progress_line
from synthema_kernel.session import Session

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 3600.0


class Tracker(anywidget.AnyWidget):
    """The view ``tracker`` of extensions/views, hosted in a notebook.

    Attributes
    ----------
    view
        The Request as the federation service shows it.
    connection
        ``live``, ``lost`` (trying again), or ``ended``; ``notice`` says why it ended if the Request did not.
    """

    _esm = synthema_views.module("tracker.js")
    _css = synthema_views.module("tracker.css")
    view = traitlets.Dict().tag(sync=True)
    connection = traitlets.Unicode("live").tag(sync=True)
    notice = traitlets.Unicode("").tag(sync=True)

    def __str__(self) -> str:
        return progress_line(self.view)

    def __repr__(self) -> str:
        return f"{self} (a live tracker: open the notebook to see it move)"


class Follower(threading.Thread):
    """Sets a tracker's traits from the service's events; ends with the Request, or when told to.

    Nothing it meets is raised: the notebook goes on, and the card says what happened.
    """

    def __init__(self, client: FederationClient, identifier: str, tracker: Tracker) -> None:
        super().__init__(name=f"follow-{identifier}", daemon=True)
        self._client, self._identifier, self._tracker = client, identifier, tracker
        self._told = threading.Event()

    def stop(self) -> None:
        self._told.set()

    def run(self) -> None:
        try:
            for view in self._client.events(self._identifier, pause=self._pause, patience_seconds=_PATIENCE_SECONDS):
                self._show(view)
                if self._told.is_set():
                    return
        except SynthemaError as error:
            self._tracker.set_trait("notice", str(error))
            self._tracker.set_trait("connection", "ended")
        except Exception:  # the outermost loop of this thread: the kernel must not see it
            _log.exception("Following the request %s ended.", self._identifier)

    def _show(self, view: View) -> None:
        with self._tracker.hold_sync():
            self._tracker.set_trait("view", view)
            self._tracker.set_trait("connection", "ended" if has_ended(view) else "live")

    def _pause(self, seconds: float) -> bool:
        if not has_ended(self._tracker.view):
            self._tracker.set_trait("connection", "lost")
        return self._told.wait(seconds)


def track(session: Session, name: str = "") -> Tracker:
    """A tracker of the Request of that name (of the last one), already moving. Returns at once.

    Raises
    ------
    NotFound
        If there is no such Request.
    """
    view: dict[str, Any] = session.request(name)
    tracker = Tracker(view={key: value for key, value in view.items() if key not in ("plan", "trail")})
    if has_ended(view):
        tracker.connection = "ended"
    else:
        Follower(session.client, str(view["id"]), tracker).start()
    return tracker

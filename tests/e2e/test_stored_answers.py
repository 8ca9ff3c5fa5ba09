"""A question that was answered costs no patient anything a second time, whoever asks it."""

from __future__ import annotations

import pytest

from support.running import Running, wait_for
from synthema_core.release import Release
from synthema_core.request import Status, Verb
from synthema_datasite.service.records import charges
from synthema_datasite.state import SiteState

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]
STORED = {"column": "flt3", "confidence": "0.9"}


def charged(federation: Running, site: str, *, readings: bool) -> list[str]:
    """The Requests that the site has charged for numbers, or for showing somebody else's."""
    return [made.request for made in charges(federation.journal(site), "myeloid") if made.reading == readings]


def test_another_researcher_gets_the_numbers_that_are_there(federation: Running) -> None:
    asked = federation.ask("histogram", "myeloid", STORED, epsilon=0.1)
    first = Release.from_dict(federation.released(asked))
    before = {site: charged(federation, site, readings=False) for site in federation.sites}
    assert all(asked in requests for requests in before.values())
    federation.add_researcher("mary")
    again = federation.ask("histogram", "myeloid", STORED, epsilon=0.1, researcher="mary", purpose="For my thesis.")
    second = Release.from_dict(federation.released(again))
    assert (second.requester, second.reused_from, second.result) == ("mary", first.id, first.result)
    for site in federation.sites:
        second.check_signature(SiteState(federation.state(site)).contact().hub_key)
        wait_for(lambda site=site: federation.record(site, again).request.status is Status.RELEASED, f"{site} knew")
        assert federation.record(site, again).last(Verb.START) is None, "nothing ran"
        assert charged(federation, site, readings=False) == before[site]
        assert charged(federation, site, readings=True) == [again], "it counts against what she may ask"


def test_who_has_an_answer_is_told_so_before_anything_is_submitted(federation: Running) -> None:
    session = federation.session()
    asked = federation.ask("histogram", "myeloid", {"column": "trt", "confidence": "0.9"}, epsilon=0.1)
    release = Release.from_dict(federation.released(asked))
    question = session.client.plan(asked).question_digest
    found = session.client.answer_to(question)
    assert found is not None
    assert (found[0]["id"], found[1].id) == (asked, release.id)

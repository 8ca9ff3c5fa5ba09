"""What code put out, on the stewards' page: the very numbers, what the checks say of them, and the release decision."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.pages import MARKUP, Browser, logged_in, text_of
from support.scene import scene
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import code_site, plan_for, staged
from synthema_core.code.outputs import Content, Output, Outputs
from synthema_core.request import Status
from synthema_datasite.pages.output_view import views_of
from synthema_datasite.service.approvals import clearances_of
from synthema_datasite.service.log_sharing import shared_log
from synthema_datasite.service.staging import Staged
from synthema_datasite.service.stewards import add_steward

_CELL = r'<td class="(\w*)"><label[^>]*><span>[^<]*</span><input[^>]* value="([^"]+)"'


@pytest.fixture
def here(tmp_path: Path) -> TrialSite:
    here = code_site(tmp_path)
    staged(here, log=f"patient 17 {MARKUP}")
    return here


@pytest.fixture
def browser(here: TrialSite) -> Browser:
    return logged_in(here)


def status(here: TrialSite) -> Status:
    return here.record("r1").request.status


def ticked(page: str) -> list[str]:
    return re.findall(r'name="redacted" value="([^"]+)"[^>]* checked', page)


def waits_still(here: TrialSite, response: Any, said: str, code: int = 400) -> None:
    assert (response.status_code, said in response.text) == (code, True), text_of(response.text)
    assert status(here) is Status.STAGED
    assert not clearances_of(here.record("r1"))


def test_the_numbers_the_findings_and_the_run_are_shown(browser: Browser) -> None:
    page = browser.get("/requests/r1/output").text
    cells = re.findall(
        r"<span>([^<]+)</span><input type=\"checkbox\" form=\"clear\" name=\"redacted\" value=\"([^\"]+)\"", page
    )
    assert [(name, number) for number, name in cells] == [
        ("deaths[0]", "11"), ("deaths[1]", "3"), ("deaths[2]", "12"), ("mean_age", "55.5")
    ]  # fmt: skip
    assert "A count of 3 is below 5." in page
    assert ticked(page) == ["deaths[1]"], "what the checks suggest"
    said = text_of(page)
    assert "Memory 80 MiB" in said
    assert "Cleared: when all 3 sites have cleared theirs" in said
    assert 'href="/requests/r1/output"' in browser.get("/").text
    assert "Look at what it put out, and decide" in browser.get("/requests/r1").text


def test_a_log_is_text(browser: Browser) -> None:
    for path in ("/requests/r1/output", "/requests/r1"):
        page = browser.get(path).text
        assert "patient 17 &lt;script&gt;" in page
        assert "<script" not in page


def test_a_steward_clears_what_is_on_the_page(here: TrialSite, browser: Browser) -> None:
    output = browser.form("r1", "/output")["output"]
    done = browser.release("clear", redacted=["deaths[1]"], more="mean_age deaths[0]", reason="Small.")
    assert (done.status_code, done.headers["location"]) == (303, "/requests/r1/output")
    (given,) = clearances_of(here.record("r1"))
    assert (given.output, given.redacted, given.reason) == (output, ("deaths[1]", "mean_age", "deaths[0]"), "Small.")
    assert (given.cleared, given.steward, status(here)) == (True, STEWARD, Status.CLEARED)
    page = browser.get("/requests/r1/output").text
    assert "Nothing waits here any more" in page
    assert 'name="decision"' not in page
    assert "maria cleared the output — Small. · leaving out deaths[1], mean_age, deaths[0]" in text_of(page)
    assert len(re.findall(r'<td class="[a-z]* ?gone">', page)) == 3


def test_a_steward_withholds_with_a_reason(here: TrialSite, browser: Browser) -> None:
    waits_still(here, browser.release("withhold", reason=" "), "To withhold an output takes a reason.")
    assert browser.release("withhold", reason="Cells of single patients.").status_code == 303
    assert status(here) is Status.WITHHELD


def test_another_output_than_the_one_shown_is_not_cleared(here: TrialSite, browser: Browser) -> None:
    waits_still(here, browser.release("clear", output="0" * 64), "This is not the output you were shown.")
    waits_still(here, browser.release("clear", plan_digest="0" * 64), "This is not the Plan you were shown.")
    for missing in ("output", "plan_digest", "form_token"):
        assert browser.release("clear", **{missing: ""}).status_code in (400, 422)
    assert status(here) is Status.STAGED


def test_wrong_passphrases_unknown_cells_and_unknown_decisions_clear_nothing(here: TrialSite, browser: Browser) -> None:
    waits_still(here, browser.release("clear", passphrase="wrong horse battery"), "passphrase is wrong")
    waits_still(here, browser.release("clear", form_token="x"), "This form was not made here.")
    waits_still(here, browser.release("clear", more="deaths[7]"), "outside the output")
    waits_still(here, browser.release("clear", more="<b>"), "&#39;&lt;b&gt;&#39; names no part of an output.")
    waits_still(here, browser.release("clear", redacted=["deaths", "mean_age"]), "That leaves nothing of the output.")
    waits_still(here, browser.release("release"), "There is no decision &#39;release&#39;.")
    for _ in range(4):
        browser.release("clear", passphrase="wrong horse battery")
    waits_still(here, browser.release("clear"), "Too many wrong passphrases.")


def test_what_was_ticked_is_kept_when_a_decision_fails(browser: Browser) -> None:
    page = browser.release("clear", passphrase="wrong", redacted=["deaths[2]"], more="x y", reason="R").text
    assert ticked(page) == ["deaths[2]"], "and not what the checks suggest"
    assert 'name="more" value="x y"' in page
    assert ticked(browser.release("clear", passphrase="wrong").text) == [], "nothing was ticked"


def test_numbers_that_were_changed_on_disk_are_not_shown(here: TrialSite, browser: Browser) -> None:
    folder = here.state.staged_folder("r1")
    form = browser.form("r1", "/output")
    (path,) = folder.glob("output*")
    path.write_bytes(path.read_bytes().replace(np.float64(12.0).tobytes(), np.float64(99.0).tobytes()))
    shown = browser.get("/requests/r1/output")
    assert (shown.status_code, "has been changed since" in shown.text) == (400, True)
    form |= {"decision": "clear", "passphrase": PASSPHRASE}
    assert "has been changed since" in browser.post("/requests/r1/output", **form).text
    assert status(here) is Status.STAGED


@pytest.mark.parametrize("request_name", ["r1", "analysis", "nobody"])
def test_where_nothing_was_put_out_there_is_nothing_to_see(tmp_path: Path, request_name: str) -> None:
    here = code_site(tmp_path)
    here.submitted(plan_for(here))
    here.submitted(here.plan(), "analysis")
    assert logged_in(here).get(f"/requests/{request_name}/output").status_code == 404


def test_two_stewards_both_look(tmp_path: Path) -> None:
    here = code_site(tmp_path, stewards=2)
    add_steward(here.site, "otto", PASSPHRASE)
    staged(here, by=(STEWARD, "otto"), without=["mean_age"])
    maria, otto = logged_in(here), logged_in(here, "otto")
    assert "Left out already." in maria.get("/requests/r1/output").text, "by a condition of the approval"
    assert maria.release("clear", redacted=["deaths[0]"]).status_code == 303
    assert status(here) is Status.STAGED
    page = otto.get("/requests/r1/output").text
    assert "maria cleared it. One more steward is needed." in text_of(page)
    assert 'value="deaths[0]"' not in page, "what she left out stays out"
    assert "Clear it" not in maria.get("/requests/r1/output").text
    assert "you said yes; 1 more needed" in maria.get("/").text
    assert otto.release("clear").status_code == 303
    assert status(here) is Status.CLEARED


def test_a_log_is_shared_by_who_has_read_it(here: TrialSite, browser: Browser) -> None:
    form = browser.form("r1", "/output") | {"passphrase": PASSPHRASE}
    del form["output"]
    refused = browser.post("/requests/r1/log", **{**form, "shown": "0" * 64})
    assert "This is not the log you were shown." in refused.text
    assert "passphrase is wrong" in browser.post("/requests/r1/log", **{**form, "passphrase": "no"}).text
    assert browser.post("/requests/r1/log", **{**form, "form_token": "x"}).status_code == 400
    assert shared_log(here.site.journal, "r1") is None
    assert browser.post("/requests/r1/log", **form).status_code == 303
    assert shared_log(here.site.journal, "r1") == f"patient 17 {MARKUP}"
    assert "The researcher can read it." in browser.get("/requests/r1/output").text


def test_a_scene_from_real_rows_is_marked_where_its_checks_say(tmp_path: Path) -> None:
    here = scene(tmp_path).here
    page = logged_in(here).get("/requests/table/output").text
    marked = {name: worst for worst, name in re.findall(_CELL, page)}
    assert marked["oldest"] == "serious"
    assert "deaths[1,2]" in marked
    assert {name for name, worst in marked.items() if worst == "serious"} == set(ticked(page))


SHAPES: dict[tuple[int, ...], tuple[int, int]] = {
    (): (1, 1),
    (3,): (1, 3),
    (25,): (1, 25),
    (2, 4): (1, 8),
    (3, 2, 2): (3, 12),
    (1000,): (1, 1000),
    (1001,): (0, 0),
    (20, 20, 20): (0, 0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_number_of_each_shape_is_shown_once_under_its_own_name(shape: tuple[int, ...]) -> None:
    output = Output("x", shape, 1e9, Content.COUNTS)
    array = np.arange(output.length, dtype=np.float64).reshape(shape)
    given = Staged("c", Outputs((output,)), {"x": array}, (), (), "", 0.0, 0.0, 0, True)
    (view,) = views_of(given, ["x[0]"], ())
    cells = [cell for table in view.tables for _, row in table.rows for cell in row]
    assert (len(view.tables), len(cells)) == SHAPES[shape]
    for cell in cells:
        place = tuple(int(index) for index in re.findall(r"\d+", cell.reference))
        assert cell.value == array[place]
        assert cell.ticked == (cell.reference == "x[0]")
    if not cells:
        numbers = [float(number) for line in view.lines for number in line.partition("]")[2].split()]
        assert numbers == array.reshape(-1).tolist()
        assert view.lines[1].startswith(f"[{','.join(str(int(i)) for i in np.unravel_index(10, shape))}]")

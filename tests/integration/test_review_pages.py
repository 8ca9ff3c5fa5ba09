"""Code on the stewards' page: read, compared, decided on with conditions, by one steward or two."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.charges import charges_of
from support.pages import MARKUP, Browser, logged_in, said_by, text_of
from support.scene import PURPOSES, Scene, scene, submit
from support.site import PASSPHRASE, STEWARD, TrialSite
from support.staged import code_site, plan_for, question
from synthema_core.code.outputs import Output, Outputs
from synthema_core.code.source import MAIN, Code
from synthema_core.code.timing import answer_seconds
from synthema_core.errors import InvalidPlan
from synthema_core.ledger import Standing
from synthema_core.planning import plan_of
from synthema_core.request import Status, Verb
from synthema_core.review import Review
from synthema_core.sandbox.attacks import Finding
from synthema_core.sandbox.doctor import BackendReport, Means, Report
from synthema_datasite.pages.examination import Examination
from synthema_datasite.service.approvals import reviews_of
from synthema_datasite.service.claims import Claims
from synthema_datasite.service.code_reading import spell_seconds
from synthema_datasite.service.costs import read_ledger
from synthema_datasite.service.reading import read
from synthema_datasite.service.records import charges
from synthema_datasite.service.register import Register
from synthema_datasite.service.stewards import add_steward

HOSTILE = f'''"""{MARKUP}"""
# {MARKUP} \u202e
def study(rows):
    text = "{MARKUP.replace('"', "'")}"
    eval(text)
    return {{"deaths": [1, 2, 3], "mean_age": 50.0}}
'''


@pytest.fixture
def scenery(tmp_path: Path) -> Scene:
    return scene(tmp_path)


@pytest.fixture
def here(scenery: Scene) -> TrialSite:
    return scenery.here


@pytest.fixture
def browser(here: TrialSite) -> Browser:
    return logged_in(here)


@pytest.fixture
def two(tmp_path: Path) -> TrialSite:
    """Where two stewards must agree."""
    here = code_site(tmp_path, stewards=2)
    for name in ("otto", "nina"):
        add_steward(here.site, name, PASSPHRASE)
    here.submitted(plan_for(here))
    return here


def status(here: TrialSite, request: str = "second") -> Status:
    return here.record(request).request.status


def review(here: TrialSite, request: str = "second") -> Review:
    return reviews_of(here.record(request))[-1]


def test_code_is_shown_whole_and_explained(browser: Browser) -> None:
    page = browser.get("/requests/second").text
    said = text_of(page)
    for words in (
        PURPOSES["second"],
        "The code is called once for each patient",
        "Noise that hides any one patient is added here, outside the sandbox",
        f"exactly {spell_seconds(answer_seconds(100, 0.1))} after the question",
        "helpers/scores.py helper module",
        "study.py the cell; patient is called",
        "Nothing else can leave: 6 numbers in all",
        "epsilon 0.799 of 3",
        "more like this",
        "landlock",
    ):
        assert words in said, words
    assert '<span class="k">def</span> <span class="f">patient</span>' in page
    assert 'id="f1-1"' in page
    assert 'href="#f1-14"' in page, "a finding leads to its line"


def test_the_noise_of_each_output_is_in_its_own_unit(browser: Browser) -> None:
    """Of the sum over three sites: each adds a half of what is counted on, as one may know its own."""
    rows = re.findall(r"<tr><td><code>(\w+)</code>.*?<td>(±[^<]*)</td></tr>", browser.get("/requests/second").text)
    assert dict(rows) == {
        "patients": "± 8.33, 8.3 times the bound",
        "early_deaths": "± 8.33, 8.3 times the bound",
        "risk": "± 25, 8.3 times the bound",
    }


def test_it_is_compared_with_the_version_that_was_approved(browser: Browser) -> None:
    page = browser.get("/requests/second").text
    assert "Compared with the request that this one replaces , approved here." in text_of(page)
    assert '<a href="/requests/first">the request that this one replaces</a>' in page
    assert "10 lines added, 3 removed" in page
    assert "What changed" not in text_of(browser.get("/requests/first").text)


COMPARED: dict[str, tuple[dict[str, Any], str]] = {
    "same name": ({"name": "early-deaths"}, "the last one that rosalind called “early-deaths”"),
    "same shape": ({"name": "other"}, "the last code of this shape by rosalind"),
    "somebody else": ({"name": "early-deaths", "requester": "otto"}, ""),
    "another shape": ({"name": "other", "shape": "per-block"}, ""),
}


@pytest.mark.parametrize("case", COMPARED)
def test_which_version_it_is_compared_with_is_said(here: TrialSite, browser: Browser, case: str) -> None:
    given, expected = COMPARED[case]
    plan = plan_for(here, given.get("shape", "per-patient"), requester=given.get("requester", "rosalind"))
    submit(here, plan, "r9", given["name"])
    said = text_of(browser.get("/requests/r9").text)
    assert ("Compared with" in said) is bool(expected)
    assert expected in said


def test_a_version_that_was_rejected_is_compared_with_only_if_it_is_replaced(here: TrialSite, browser: Browser) -> None:
    here.reviewing.reject("second", STEWARD, PASSPHRASE, "Not like this.")
    replaced = here.record("second").plan
    submit(here, plan_for(here, "per-patient", supersedes=replaced.digest), "r9", "unlike")
    assert "the request that this one replaces , never approved here" in text_of(browser.get("/requests/r9").text)


def test_similar_requests_and_the_thread_are_shown(browser: Browser) -> None:
    said = text_of(browser.get("/requests/second").text)
    assert "By rosalind: 1 staged, 1 running" in said
    assert "maria asked, 2026-03-02 09:00 UTC Why a year now" in said
    assert "rosalind answered, 2026-03-02 09:00 UTC The trial&#39;s protocol" in said


def test_an_approval_carries_its_conditions(here: TrialSite, browser: Browser) -> None:
    done = browser.decide("approve", "second", until_days="2.5", without=["risk", "patients"], reason="For a start.")
    assert done.status_code == 303
    given = review(here)
    assert (given.without, given.reason) == (("risk", "patients"), "For a start.")
    assert given.expires_at.startswith("2026-03-04T21:00")
    history = text_of(browser.get("/requests/second").text)
    assert "maria approved — For a start. · without risk, patients · until 2026-03-04" in history


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"until_days": "soon"}, "&#39;soon&#39; is no number of days."),
        ({"until_days": "-1"}, "An approval lasts for more than 0 days."),
        ({"until_days": "nan"}, "An approval lasts for more than 0 days."),
        ({"without": ["nothing"]}, "The Plan declares no output &#39;nothing&#39;."),
        ({"without": ["risk[7]"]}, "outside the output"),
    ],
)
def test_a_condition_that_cannot_be_kept_approves_nothing(
    here: TrialSite, browser: Browser, condition: dict[str, Any], said: str
) -> None:
    response = browser.decide("approve", "second", **condition)
    assert (response.status_code, said in response.text) == (400, True), text_of(response.text)
    assert status(here) is Status.UNDER_REVIEW


def test_what_was_typed_is_kept_when_a_decision_fails(browser: Browser) -> None:
    page = browser.decide("ask", "second", question="Why <b>?", passphrase="wrong horse battery").text
    assert '<textarea id="question" name="question" rows="3" required>Why &lt;b&gt;?</textarea>' in page
    page = browser.decide("approve", "second", without=["risk"], until_days="7", passphrase="wrong horse battery").text
    assert 'name="without" value="risk" checked' in page
    assert 'name="until_days" inputmode="decimal" value="7"' in page
    assert "wrong horse battery" not in page


def test_a_steward_asks_and_the_request_goes_on_waiting(here: TrialSite, browser: Browser) -> None:
    assert browser.decide("ask", "second", question="Which protocol?").status_code == 303
    assert status(here) is Status.UNDER_REVIEW
    assert here.record("second").events[-1].detail == {"text": "Which protocol?"}
    assert "question open" in browser.get("/").text
    assert "A question needs a text." in browser.decide("ask", "second", question=" ").text


def test_two_stewards_see_who_has_approved_and_how_many_are_missing(two: TrialSite) -> None:
    maria, otto = logged_in(two), logged_in(two, "otto")
    assert maria.decide("approve").status_code == 303
    assert status(two, "r1") is Status.UNDER_REVIEW
    for browser in (maria, otto):
        assert "maria approved. One more steward is needed." in text_of(browser.get("/requests/r1").text)
    assert "Approve for one run" not in maria.get("/requests/r1").text, "she has"
    assert "Take the approval back" in maria.get("/requests/r1").text
    assert "you said yes; 1 more needed" in maria.get("/").text
    assert "maria said yes; 1 more needed" in otto.get("/").text
    assert otto.decide("approve").status_code == 303
    assert status(two, "r1") is Status.APPROVED


def test_nobody_is_offered_a_decision_on_their_own_request(two: TrialSite) -> None:
    two.submitted(plan_for(two, requester="otto", purpose="Mine"), "r2")
    page = logged_in(two, "otto").get("/requests/r2").text
    assert "This is your own request" in page
    assert "Approve for one run" not in page


def test_markup_in_all_that_a_researcher_writes_is_shown_as_text(tmp_path: Path) -> None:
    """Purpose, name, requester, code, comments, helper modules, answers."""
    here = code_site(tmp_path)
    more = {"requester": f"r {MARKUP}", "purpose": f"p {MARKUP}"}
    submit(here, plan_for(here, "per-patient", HOSTILE, **more), "r1", f"n {MARKUP}")
    here.told(Verb.ANSWER, "r1", {"text": f"a {MARKUP}"}, actor=more["requester"])
    submit(here, plan_for(here, "per-patient", HOSTILE + "# more\n", **more), "r2", f"n {MARKUP}")
    browser = logged_in(here)
    browser.decide("approve", "r1")
    for path in (
        "/",
        "/requests/r1",
        "/requests/r2",
        "/requests/r1/trail",
        f"/?who={MARKUP}&text={MARKUP}&status={MARKUP}",
    ):
        page = browser.get(path).text
        assert not re.search(r"<(script|b onclick|iframe|img)", page), path
        assert "alert(" in page
    page = browser.get("/requests/r2").text
    assert "called “n &lt;script&gt;" in page
    assert page.count("U+202E") >= 2, "in the code and in what changed"
    assert "\u202e" not in page


def test_names_of_outputs_and_files_cannot_be_markup() -> None:
    for name in ("<b>", "a b", "x\u202e", "a&b"):
        with pytest.raises(InvalidPlan):
            Outputs((Output(name, (), 1.0),))
        with pytest.raises(InvalidPlan):
            Code({MAIN: "def f(r): pass\n", f"{name}.py": ""}, "f")


def test_code_that_todays_rules_forbid_is_still_readable(here: TrialSite, browser: Browser) -> None:
    """The page must say why something cannot be approved, and what it was."""
    (here.state.folder / "policy.toml").write_text("[defaults]\nmin_patients = 5\ncode = []\n")
    said = said_by(browser, "second")
    assert said["Forbidden by code"].startswith("This site runs no code of the shape &#39;per-patient&#39;")
    assert said["Columns read"] == "days; died; age; arm"
    assert "risk_score" in browser.get("/requests/second").text
    assert browser.decide("approve", "second").status_code == 400


def test_code_that_was_sent_to_others_is_still_readable(here: TrialSite, browser: Browser) -> None:
    """A hub that shows this site a Plan without it is told no; its stewards can read what it was."""
    others = [here._other_card(name) for name in ("birch", "cedar", "douglas")]
    plan = plan_of(question("per-patient"), others, requester="rosalind", purpose="Not here", now=here.clock())
    submit(here, plan, "r9", "elsewhere")
    assert status(here, "r9") is Status.REJECTED
    assert said_by(browser, "r9")["Dataset here"] == "none: the Plan does not name this site"
    assert browser.get("/").status_code == 200


def test_signs_that_do_not_show_are_spelled_out_in_every_text(here: TrialSite, browser: Browser) -> None:
    plan = plan_for(here, "per-patient", purpose="All is \u202ewell\u200b", requester="ros\u2066alind")
    submit(here, plan, "r9", "na\u00adme")
    here.told(Verb.ANSWER, "r9", {"text": "one\ntwo \x1b[31m"}, actor="ros\u2066alind")
    for path in ("/", "/requests/r9"):
        page = browser.get(path).text
        assert not re.search("[\u202e\u200b\u2066\u00ad\x1b]", page)
        assert "All is [U+202E]well[U+200B]" in page
    assert "one\ntwo [U+001B][31m" in browser.get("/requests/r9").text


def test_the_ledger_says_what_each_request_cost(here: TrialSite, browser: Browser) -> None:
    page = browser.get("/ledger").text
    said = text_of(page)
    assert "Patients of trial group “all”: epsilon 3 at delta 1e-06" in said
    assert "Under way 9 % epsilon 0.799 · 1 job" in said
    assert "Ever spent epsilon 0.799" in said
    assert f'<a href="/requests/first">{PURPOSES["first"]}</a>' in page


def test_the_policy_is_explained_rule_by_rule(here: TrialSite, browser: Browser) -> None:
    (here.state.folder / "policy.toml").write_text("# <script>\n[defaults]\nstewards = 2\n")
    page = browser.get("/policy").text
    assert "# &lt;script&gt;" in page
    assert "<script" not in page
    said = text_of(page)
    assert "stewards 2 It takes 2 different stewards" in said
    assert "landlock" in said


def test_the_sandbox_is_examined_once_and_what_it_let_through_is_said(here: TrialSite) -> None:
    asked: list[int] = []
    findings = (
        Finding("honest code", "computes", ""),
        Finding("a socket", "connects", "it connected"),
        Finding("existence", "looks", "it can tell whether a path exists", bearable=True),
    )
    backends = BackendReport("bubblewrap", "bwrap is not installed", ()), BackendReport("landlock", "", findings)
    report = Report((Means("Landlock", False, "not in this kernel"),), backends)

    def examine() -> Report:
        asked.append(1)
        return report

    browser = Browser(here, examine=examine)
    browser.login()
    browser.get("/policy")
    browser.app.state.pages.examination.wait(30)
    for _ in range(2):
        said = text_of(browser.get("/policy").text)
        assert "bubblewrap not offered: bwrap is not installed" in said
        assert "1 of 3 attacks were held; these went through: a socket existence: it can tell whether" in said
        assert "Landlock not in this kernel missing" in said
    assert asked == [1]


def test_an_examination_that_breaks_is_begun_anew() -> None:
    results = iter([RuntimeError("no"), Report((), ())])

    def examine() -> Report:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    examination = Examination(examine)
    assert examination.report() is None
    examination.wait(30)
    examination.report()
    examination.wait(30)
    assert examination.report() == Report((), ())


def test_what_it_costs_is_what_the_ledger_would_say(here: TrialSite) -> None:
    """The page adds up in another way than the claim does: it must come to the same."""
    for number, epsilon in enumerate((0.3, 0.5)):
        plan = plan_for(here, "per-patient", requester=f"other-{number}", epsilon=epsilon)
        submit(here, plan, f"c{number}", "c")
        here.reviewing.approve(f"c{number}", STEWARD, PASSPHRASE)
        Claims(here.site).claim(f"job-c{number}", f"c{number}", plan.digest)
    record, made = here.record("second"), charges(here.site.journal, "trial")
    cost = read(here.site, record, Register(here.site)).cost
    assert cost is not None
    standing = Standing.of(cost.budget, made)
    assert len(made) == 3
    assert cost.spent == pytest.approx(standing.spent_epsilon, rel=1e-9)
    assert cost.after == pytest.approx(standing.preview(cost.mechanism), rel=1e-9)
    theirs = Standing.of(cost.budget, charges_of(here.site.journal, "trial", "rosalind"))
    assert cost.requester.spent == pytest.approx(theirs.spent_epsilon, rel=1e-9)
    assert cost.requester.after == pytest.approx(theirs.preview(cost.mechanism), rel=1e-9)
    assert cost.requester.spent < cost.spent
    ledger = read_ledger(here.site, "all", 0, 2)
    assert (ledger.count, [line.charge.request for line in ledger.lines]) == (3, ["c1", "c0"])
    so_far = [Standing.of(cost.budget, made[:count]).spent_epsilon for count in (3, 2)]
    assert [line.so_far for line in ledger.lines] == pytest.approx(so_far, rel=1e-9)
    assert [line.alone for line in ledger.lines] == pytest.approx([0.5, 0.3], rel=0.01)


def test_the_trail_is_the_journals_own_entries(here: TrialSite, browser: Browser) -> None:
    said = text_of(browser.get("/requests/first/trail").text)
    for kind in ("submit", "receive", "review", "approve", "charge", "start"):
        assert kind in said
    assert here.site.journal.entries("request/first")[0].digest[:16] in said
    assert browser.get("/requests/nobody/trail").status_code == 404


@pytest.mark.parametrize("path", ["/policy", "/ledger", "/requests/table/output", "/requests/first/trail"])
def test_nobody_sees_these_pages_without_a_login(here: TrialSite, path: str) -> None:
    response = Browser(here).get(path)
    assert (response.status_code, response.headers["location"], response.text) == (303, "/login", "")


@pytest.mark.parametrize("path", ["/", "/requests/second", "/requests/table/output", "/policy", "/ledger"])
def test_every_field_has_a_label_and_every_form_is_this_sessions(browser: Browser, path: str) -> None:
    page = browser.get(path).text
    fields = re.findall(r"<(?:input|select|textarea) ([^>]*)>", page)
    labels = set(re.findall(r'<label for="([^"]+)"', page))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for attributes in fields:
        named = re.search(r'id="([^"]+)"', attributes)
        silent = 'type="hidden"' in attributes or 'class="hidden"' in attributes or 'type="checkbox"' in attributes
        assert silent or (named and named[1] in labels), attributes
    for form in re.findall(r'<form [^>]*method="post".*?</form>', page, re.DOTALL):
        assert 'name="form_token"' in form
    assert not re.search(r"<[^>]* (?:style|on\w+)=", page.partition("</head>")[2]), "no style or script in an element"


def test_the_one_style_sheet_is_the_one_that_is_allowed(browser: Browser) -> None:
    import base64
    import hashlib

    answer = browser.get("/")
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style
    allowed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{allowed}'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]

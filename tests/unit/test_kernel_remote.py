"""%%remote cells in a real IPython shell: read, tried in the real sandbox, shown, submitted; never run in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.builders import NOW, SITES, card, days_later
from support.federation import FakeFederation
from support.notebook import Notebook, opened
from support.unhurried import Unhurried
from synthema_core.code.declaration import AnyShape
from synthema_core.errors import Unavailable
from synthema_core.request import Status
from synthema_core.sandbox.choose import choose_backend
from synthema_core.sandbox.port import Backend
from synthema_kernel.complaint import FederationError
from synthema_kernel.helpers import read_helpers
from synthema_kernel.progress import progress_line
from synthema_kernel.reports.templates import notebooks_folder

POLICY = {"code": ["per-patient", "per-block", "aggregate"], "max_patients": 60, "code_cpu_seconds": 2.0}
OPTIONS = (
    '--shape per-patient --dataset trial --columns age,died --returns "age=100, died=1" --counts died '
    '--purpose "How old are those who die?"'
)
SOURCE = """def patient(rows):
    row = rows.iloc[0]
    return {"age": row.age, "died": row.died}
"""


@cache
def backend() -> Backend:
    return Unhurried(choose_backend())


def choose() -> Backend:
    try:
        return backend()
    except Unavailable as error:
        pytest.skip(str(error))


def no_backend() -> Backend:
    raise Unavailable("No sandbox is available here.", "Install bubblewrap.")


def willing() -> FakeFederation:
    federation = FakeFederation()
    federation.offered = [card(site, policy=POLICY) for site in SITES]
    return federation


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.chdir(tmp_path)
    with opened(willing(), choose=choose) as made:
        yield made


def asked(notebook: Notebook, request: str = "r1") -> AnyShape:
    from synthema_core.analyses import from_plan

    plan = notebook.federation.records[request].plan
    question = from_plan(plan.analysis, plan.parameters)
    assert isinstance(question, AnyShape)
    return question


def remote(more: str = "", source: str = SOURCE, options: str = OPTIONS) -> str:
    return f"%%remote {options} {more}\n{source}"


def test_a_cell_is_tried_submitted_and_told_of(notebook: Notebook) -> None:
    text = notebook.cell(remote("--name ages -o kept"))
    assert "Submitted 'ages' to alder, birch, cedar" in text
    assert "60 returned what was declared" in text
    assert "Tried on mock data made from the schema alone: it works." in text
    seconds = asked(notebook).answer_seconds
    assert f"a site answers {seconds:.0f} seconds after the question arrives, whatever happens" in text
    assert "epsilon 1, delta 1e-06; clipped to a length of 1.414, which cuts nothing within the bounds" in text
    assert str(notebook.variable("kept")) == text
    question = asked(notebook)
    assert question.code.files == {"study.py": SOURCE}
    assert (question.shape, question.cpu_seconds, question.columns_read) == ("per-patient", 0.1, ("age", "died"))
    assert question.capacity == 60  # type: ignore[union-attr]
    assert [output.spell() for output in question.outputs.outputs] == ["age=100", "died=1"]
    record = notebook.federation.records["r1"]
    assert (record.name, record.plan.purpose) == ("ages", "How old are those who die?")


def test_nothing_of_a_cell_is_run_or_defined_in_the_kernel(notebook: Notebook) -> None:
    trap = "import pathlib\npathlib.Path('touched').touch()\nraise SystemExit\n"
    text = notebook.cell(remote("--dry-run", SOURCE + trap))
    assert "60 of 60 evaluations did not return what was declared" in text  # the sandbox has no folder to write in
    assert not Path("touched").exists()
    assert "patient" not in notebook.shell.user_ns


def test_without_a_sandbox_code_is_not_run_and_can_still_be_asked(notebook: Notebook, tmp_path: Path) -> None:
    with opened(willing(), choose=no_backend) as bare:
        trap = f"open({str(tmp_path / 'touched')!r}, 'w')\n"
        text = bare.cell(remote("", SOURCE + trap))
        assert "It was not tried: No sandbox is available here." in text
        assert "Without a sandbox, code is not run." in text
        assert "returned" not in text
        assert not (tmp_path / "touched").exists()
        assert len(bare.federation.records) == 1


def test_a_dry_run_shows_the_same_and_submits_nothing(notebook: Notebook) -> None:
    text = notebook.cell(remote("--dry-run"))
    assert "Nothing was submitted." in text
    assert "Declared outputs" in text
    assert notebook.federation.records == {}
    line = 'run histogram --dataset trial --column arm --purpose "How many?"'
    assert "Nothing was submitted." in notebook.fed(f"{line} --dry-run")
    assert notebook.federation.records == {}
    with pytest.raises(FederationError, match="--dry-run takes no value"):
        notebook.fed(f"{line} --dry-run=yes")


def test_options_go_on_below_a_backslash_and_are_filled_in(notebook: Notebook) -> None:
    notebook.shell.user_ns.update(data="trial", cost=0.5)
    cell = (
        "%%remote --shape per-patient --dataset $data --columns age \\\n"
        '    --returns "age=100" --epsilon {cost / 2} \\\n'
        f'    --purpose "Why?"\n{SOURCE}'
    )
    notebook.cell(cell)
    plan = notebook.federation.records["r1"].plan
    assert plan.privacy is not None
    assert plan.privacy.epsilon == 0.25
    assert asked(notebook).code.files["study.py"] == SOURCE
    assert notebook.federation.records["r1"].name == "patient-trial"


def test_braces_and_dollars_in_the_code_stay_as_they_are(notebook: Notebook) -> None:
    notebook.shell.user_ns.update(row="changed")
    source = 'def patient(rows):\n    return 1, 0 * len("$row")\n'
    notebook.cell(remote("", source))
    assert asked(notebook).code.files["study.py"] == source


def test_findings_and_failures_are_shown_by_line(notebook: Notebook) -> None:
    source = "import socket\ndef patient(rows):\n    raise ValueError('<b>no</b>')\n"
    text = notebook.cell(remote("--dry-run", source))
    assert "study.py, line 1" in text
    assert "socket" in text
    assert "60 raised an error" in text
    assert 'File "study.py", line 3' in text
    assert "60 of 60 evaluations did not return what was declared; at a site, the declared default counts" in text
    assert "&lt;b&gt;no&lt;/b&gt;" in notebook.html
    assert "<b>" not in notebook.html


def test_what_is_beyond_a_bound_and_how_loud_the_noise_is_are_shown(notebook: Notebook) -> None:
    options = OPTIONS.replace("age=100", "age=50")
    row = next(line for line in notebook.cell(remote("--dry-run", options=options)).splitlines() if "age " in line)
    assert "cut to the bound" in row
    deviation = 50 * 2**0.5 * 4.54 * 1.5**0.5  # bound, clip, sigma for epsilon 1 and delta 1e-6, parts of three sites
    assert float(row.rpartition("±")[2].replace(",", "")) == pytest.approx(1.96 * deviation, rel=0.02)


BLOCK = "def block(rows):\n    return {'age': rows.age.mean(), 'died': rows.died.mean()}\n"


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        (remote("--dry-run --standard-error 400"), 400),
        (remote("--dry-run --standard-error 9 --blocks 20", BLOCK, OPTIONS.replace("per-patient", "per-block")), 9),
    ],
    ids=["sum", "mean over blocks"],
)
def test_noise_of_a_chosen_size_is_that_of_what_is_released(notebook: Notebook, cell: str, wanted: float) -> None:
    text = notebook.cell(cell)
    row = next(line for line in text.splitlines() if "age " in line and "±" in line)
    reach = float(row.rpartition("±")[2].replace(",", ""))
    assert 0.95 * wanted < reach / 1.96 < 1.01 * wanted
    assert re.search(r"standard deviation [\d.]+ with all 3 sites; 1 site may know their own part", text)


def test_blocks_and_all_rows_have_their_own_words(notebook: Notebook) -> None:
    block = OPTIONS.replace("per-patient", "per-block")
    source = "def block(rows):\n    return {'age': rows.age.mean(), 'died': rows.died.mean()}\n"
    text = notebook.cell(remote("--blocks 10 --cpu-seconds 0.5", source, block))
    assert "10 blocks at each site" in text
    assert "Noise (of the mean of all blocks)" in text
    assert asked(notebook).capacity == 10  # type: ignore[union-attr]
    whole = OPTIONS.replace("per-patient", "aggregate")
    text = notebook.cell(remote("--name whole", source.replace("block", "aggregate"), whole))
    assert "no noise: a steward of every site looks at the output before it is summed" in text
    assert "Noise (" not in text
    assert "3 returned what was declared" in text
    assert asked(notebook, "r2").cpu_seconds == 2.0  # the sites allow no more


@pytest.mark.parametrize(
    ("options", "source", "message", "hint"),
    [
        (OPTIONS.replace("per-patient", "per-row"), SOURCE, "no shape 'per-row'", "per-block"),
        (OPTIONS.replace("--shape per-patient", ""), SOURCE, "'%%remote' needs --shape", "per-patient"),
        (OPTIONS.replace("--columns age,died", ""), SOURCE, "needs --columns", "t2"),
        (OPTIONS.replace("age,died", "age,age"), SOURCE, "different names", "a,b"),
        (OPTIONS.replace("age,died", "age,weight"), SOURCE, "no column 'weight'", "days"),
        (OPTIONS.replace("age,died", "id,died"), SOURCE, "'id' identifies patients", "out"),
        (OPTIONS.replace("age=100, died=1", "age"), SOURCE, "'age' in --returns", "age=100"),
        (OPTIONS.replace("--counts died", "--counts n"), SOURCE, "no output 'n'", "output"),
        (OPTIONS + " --function other", SOURCE, "no function 'other'", "patient"),
        (OPTIONS, "def patient(rows:\n", "study.py, line 1", "sent"),
        (OPTIONS, "x = 1\n", "defines no function", "def"),
        (OPTIONS + " --blocks 4", SOURCE, "has no blocks", "--blocks"),
        (OPTIONS + " --blocks 4.5", SOURCE, "--blocks takes a whole number", "20"),
        (OPTIONS + " --clip 9", SOURCE, "The clip is above 0", ""),
        (OPTIONS + " --cpu-seconds 9000", SOURCE, "CPU-seconds", ""),
        (OPTIONS + " --helpers nowhere.py", SOURCE, "no helper 'nowhere.py'", "Here"),
        (OPTIONS + " --colour red", SOURCE, "'%%remote' has no option --colour", "--returns"),
        (OPTIONS + " word", SOURCE, "'%%remote' does not understand 'word'", "quotes"),
        (OPTIONS + " --sites alder,birch", SOURCE, "at least 3 sites", "more"),
        (OPTIONS + " --default age=500", SOURCE, "default of the output 'age'", ""),
        (OPTIONS.replace('"How old are those who die?"', '" "'), SOURCE, "needs --purpose", "sentence"),
        (OPTIONS.replace("per-patient", "aggregate") + " --epsilon 1", SOURCE, "is exact", "--epsilon"),
        (OPTIONS + " --supersedes nothing", SOURCE, "no request", "fed run"),
    ],
)
def test_a_cell_that_cannot_be_asked_is_one_sentence(
    notebook: Notebook, options: str, source: str, message: str, hint: str
) -> None:
    with pytest.raises(FederationError) as caught:
        notebook.cell(remote("", source, options))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert notebook.federation.records == {}


def test_a_site_that_takes_no_such_code_is_named_before_anything_is_tried(notebook: Notebook) -> None:
    notebook.federation.offered[1] = card("birch", policy={**POLICY, "code": ["aggregate"]})
    with pytest.raises(FederationError, match="'birch' takes no code of the shape per-patient"):
        notebook.cell(remote())
    assert notebook.federation.records == {}


def test_helpers_travel_under_their_own_names(notebook: Notebook) -> None:
    Path("helpers").mkdir()
    Path("helpers/scores.py").write_text("def half(x):\n    return x / 2\n")
    Path("helpers/data.csv").write_text("1,2")
    Path("more.py").write_text("ONE = 1\n")
    imports = "from helpers.scores import half\nfrom more import ONE\n"
    source = f"{imports}def patient(rows):\n    return {{'age': half(ONE), 'died': 0}}\n"
    text = notebook.cell(remote("--helpers helpers/,more.py", source))
    assert "60 returned what was declared" in text
    assert "with helpers.scores, more" in text
    assert asked(notebook).code.files == {
        "study.py": source,
        "helpers/scores.py": "def half(x):\n    return x / 2\n",
        "more.py": "ONE = 1\n",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../outside.py", "is not below"),
        ("helpers/../../outside.py", "is not below"),
        ("{folder}/inside.py", "is not below"),
        ("link.py", "leads outside"),
        ("linked", "leads outside"),
        ("data.csv", "is no Python module"),
        ("empty", "holds no module"),
        ("binary.py", "cannot be read as text"),
        ("gone.py", "There is no helper"),
    ],
)
def test_only_modules_below_the_notebook_are_helpers(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "outside.py").write_text("SECRET = 1\n")
    folder = tmp_path / "notebooks"
    for part in ("helpers", "empty", "linked"):
        (folder / part).mkdir(parents=True)
    (folder / "inside.py").write_text("x = 1\n")
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    (folder / "linked" / "link.py").symlink_to(tmp_path / "outside.py")
    (folder / "data.csv").write_text("1\n")
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    from synthema_core.errors import SynthemaError

    with pytest.raises(SynthemaError, match=message):
        read_helpers([name.format(folder=folder)], folder)
    assert read_helpers(["inside.py"], folder) == {"inside.py": "x = 1\n"}


def test_a_helper_cannot_take_the_cells_place(notebook: Notebook) -> None:
    Path("study.py").write_text("def patient(rows): ...\n")
    with pytest.raises(FederationError, match=r"A helper cannot be called study\.py"):
        notebook.cell(remote("--helpers study.py"))


def test_a_cell_that_supersedes_shows_what_changed(notebook: Notebook) -> None:
    notebook.cell(remote("--name ages"))
    changed = SOURCE.replace("row.died", "1 - row.died")
    text = notebook.cell(remote("--name ages --epsilon 0.5 --supersedes ages", changed))
    first, second = notebook.federation.records.values()
    assert second.plan.supersedes == first.plan.digest
    assert '-    return {"age": row.age, "died": row.died}' in text
    assert '+    return {"age": row.age, "died": 1 - row.died}' in text
    assert notebook.fed("diff ages").count("    +") == 2  # the same, asked for afterwards: the head and the line
    assert "epsilon" in notebook.fed("diff ages")
    turned = notebook.fed("diff r1 r2")
    assert '+    return {"age": row.age, "died": row.died}' in turned
    with pytest.raises(FederationError, match="supersedes none of yours") as caught:
        notebook.fed("diff r1")
    assert "OTHER" in caught.value.hint


def test_resubmitting_asks_the_same_with_todays_cards(notebook: Notebook) -> None:
    notebook.cell(remote("--name ages --epsilon 0.5 --clip 1"))
    notebook.federation.offered = [card(site, policy={**POLICY, "max_patients": 80}, version=2) for site in SITES]
    assert "Nothing was submitted." in notebook.fed("resubmit ages --dry-run")
    text = notebook.fed('resubmit ages --purpose "Asked again"')
    first, second = notebook.federation.records.values()
    assert (second.name, second.plan.supersedes) == ("ages", first.plan.digest)
    assert (second.plan.purpose, second.plan.privacy) == ("Asked again", first.plan.privacy)
    assert second.plan.parameters == {**first.plan.parameters, "capacity": 80}
    assert "trial (version 2)" in text
    assert [line.split("  ")[0] for line in text.splitlines() if "Asked again" in line and "How old" in line] == [
        "purpose"
    ]


def test_a_built_in_question_is_resubmitted_too_and_a_site_that_is_gone_is_named(notebook: Notebook) -> None:
    notebook.fed('run histogram --dataset trial --column arm --purpose "How many?" --name arms')
    assert "Nothing but its dates is different" in notebook.fed("diff arms arms")
    assert "Tried on mock data" in notebook.fed("resubmit arms --epsilon 0.25")
    second = notebook.federation.records["r2"].plan
    assert second.privacy is not None
    assert second.privacy.epsilon == 0.25
    notebook.federation.offered.pop()
    with pytest.raises(FederationError, match="'cedar' does not offer"):
        notebook.fed("resubmit arms")


def test_a_site_that_takes_code_no_more_is_named_when_it_is_asked_again(notebook: Notebook) -> None:
    notebook.cell(remote("--name ages"))
    notebook.federation.offered[0] = card("alder", policy={**POLICY, "code": []})
    with pytest.raises(FederationError, match="'alder' takes no code"):
        notebook.fed("resubmit ages")


def test_a_stewards_question_is_shown_until_it_is_answered(notebook: Notebook) -> None:
    notebook.cell(remote("--name ages"))
    notebook.federation.ask("r1", "In which <b>unit</b>?")
    text = notebook.fed("status ages")
    assert "birch asked you something" in text
    assert '%fed answer ages "..."' in text
    assert "&lt;b&gt;unit" in notebook.html
    text = notebook.fed('answer ages "In years."')
    assert "In years." in text
    assert "asked you something" not in text
    for line, message in (
        ("answer ages", "needs the answer"),
        ("answer", "needs the name"),
        ("answer ages ' '", "answer"),
    ):
        with pytest.raises(FederationError, match=message):
            notebook.fed(line)


def test_logs_are_what_stewards_shared(notebook: Notebook) -> None:
    notebook.cell(remote("--name ages"))
    assert "No steward has shared a log" in notebook.fed("logs ages")
    shared = {"site": "birch", "steward": "sam", "text": "<script>1</script>\n\x1b[2Jtwo", "at": "2026-03-02T09:00:00Z"}
    notebook.federation.shared["r1"] = [shared]
    text = notebook.fed("logs ages")
    assert "birch, shared by sam" in text
    assert "two" in text
    assert "\x1b" not in text
    assert "<script" not in notebook.html
    with pytest.raises(FederationError, match="needs the name"):
        notebook.fed("logs")


def test_code_with_a_release_decision_is_followed_to_its_end(notebook: Notebook) -> None:
    whole = OPTIONS.replace("per-patient", "aggregate")
    notebook.cell(remote("--name whole", SOURCE.replace("patient", "aggregate"), whole))
    fake = notebook.federation
    assert progress_line(fake.view("r1")) == "whole: submitted, 0 of 3 sites have approved"
    fake.approve("r1")
    fake.start("r1")
    fake.progress = None
    assert progress_line(fake.view("r1")) == "whole: running, The code runs at alder, birch, cedar."
    fake.stage("r1")
    assert progress_line(fake.view("r1")) == "whole: staged, waits for the release decision of alder, birch, cedar"
    fake.clear("r1", "alder")
    text = notebook.fed("status whole")
    assert "Waits for the release decision of birch, cedar." in text
    assert text.count("cleared") == 1
    fake.clear("r1", "cedar", verdict=False, reason="A cell of two patients.")
    assert fake.view("r1")["status"] == Status.WITHHELD
    assert "Cedar does not let its output go: A cell of two patients." in notebook.fed("status whole")
    with pytest.raises(FederationError, match="cedar does not let its output go: A cell of two patients"):
        notebook.fed("result whole")


def test_code_that_every_site_lets_go_is_summed_and_released(notebook: Notebook) -> None:
    whole = OPTIONS.replace("per-patient", "aggregate")
    notebook.cell(remote("--name whole", SOURCE.replace("patient", "aggregate"), whole))
    fake = notebook.federation
    fake.approve("r1")
    fake.start("r1")
    fake.progress = None
    fake.stage("r1")
    for site in SITES:
        fake.clear("r1", site)
    assert progress_line(fake.view("r1")) == "whole: cleared, every site lets its output be summed"
    fake.sum("r1")
    assert progress_line(fake.view("r1")) == "whole: summing, the sites' outputs are being summed"
    fake.release("r1")
    assert "Code on all rows, with a release decision" in notebook.fed("result whole -o whole")
    assert notebook.variable("whole")["age"] == 0


def test_the_sandbox_is_chosen_once_a_notebook(tmp_path: Path) -> None:
    asked: list[Any] = []

    def counting() -> Backend:
        asked.append(1)
        return choose()

    with opened(willing(), choose=counting) as made:
        for _ in range(2):
            made.cell(remote("--dry-run"))
    assert len(asked) == 1


def test_every_cell_of_the_tutorial_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the demonstration's own schemas, under its own policies; every evaluation of a Mock gives what is declared."""
    import yaml

    import synthema_datasite.demo as demo
    from synthema_core.policy import parse_policy
    from synthema_core.schemas import Schema

    monkeypatch.chdir(tmp_path)
    folder = Path(demo.__file__).parent
    policy = parse_policy((folder / "policy.toml").read_text())
    federation = FakeFederation()
    federation.offered = [
        card(
            site,
            dataset=name,
            schema=Schema.from_dict(yaml.safe_load((folder / f"{name}.yaml").read_text())),
            policy=policy.for_dataset(name).public(),
        )
        for name in ("bmt", "myeloid")
        for site in SITES
    ]
    cells = json.loads((notebooks_folder() / "tutorials" / "02-your-own-code.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    with opened(federation, choose=choose) as made:
        for source in (source for source in sources if source.startswith(("wait_seconds", "%%remote", "%fed status"))):
            text = made.cell(source)
            if source.startswith("%%remote"):
                assert "it works." in text
                assert "danger" not in text
        assert [record.name for record in federation.records.values()] == ["early-deaths", "first-year", "by-group"]


def test_plans_of_code_expire_as_others_do(notebook: Notebook) -> None:
    notebook.cell(remote())
    plan = notebook.federation.records["r1"].plan
    assert plan.created_at.startswith(NOW.date().isoformat())
    assert plan.expires_at.startswith(days_later(30).date().isoformat())

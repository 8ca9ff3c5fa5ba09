"""Four hospitals, one of which is killed in the midst of a Job: the sum of the others, exactly as noisy as it says."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

from support.killing import kill, part_of_hub, restart, wait_for_file
from support.running import COX, Running, wait_for
from synthema_datasite.service.records import charges

pytestmark = [pytest.mark.federation, pytest.mark.timeout(400)]

PHASES = {
    "the opening": ("seed", False),
    "the dealing of shares": ("roster", False),
    "round 1": ("dealt", False),
    "unmasking round 1": ("survivors-1", True),
}
"""What is on the site's disk last when it is killed, and whether its patients are in the sum."""
#: A phase takes half a minute; before the first Round there is nothing of a site yet that could be lost.
_SLOW = ("the opening", "the dealing of shares")


def killed_when(federation: Running, site: str, step: str) -> threading.Thread:
    """Kill the site as soon as that step of a Job is on its disk."""
    process = federation.process(f"site-{site}")

    def watch() -> None:
        wait_for_file(federation, site, step)
        kill(process)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "phase", [pytest.param(phase, marks=[pytest.mark.slow] if phase in _SLOW else []) for phase in PHASES]
)
def test_a_site_killed_in_any_phase_leaves_the_sum_of_the_others(fragile: Running, phase: str) -> None:
    step, counted = PHASES[phase]
    victim = fragile.sites[list(PHASES).index(phase)]
    options = {"column": "flt3", "confidence": f"0.9{list(PHASES).index(phase)}"}  # a question of its own
    request = fragile.ask("histogram", "myeloid", options, epsilon=1.0, name=f"killed-{step}")
    fragile.approve(request)
    killer = killed_when(fragile, victim, step)
    view = fragile.wait_until_ended(request)
    killer.join()
    restart(fragile, f"site-{victim}")
    assert view["status"] == "released", view["failure"]
    release = fragile.session().client.release(request).to_dict()
    in_sum = [site for site in fragile.sites if site not in release["missing"]]
    assert in_sum == [site for site in fragile.sites if counted or site != victim]
    check(fragile, release, in_sum)


def check(federation: Running, release: dict[str, Any], in_sum: list[str]) -> None:
    """The numbers are those of the sites in the sum; the noise that is said has a part of each of them."""
    table = federation.pooled("myeloid")
    true = table[table["site"].isin(in_sum)]["flt3"].value_counts().sort_index().to_numpy()
    counts = np.array([cell["count"] for cell in release["result"]["cells"]])
    deviation = release["guarantee"]["noise_standard_deviation"]
    smallest = table.groupby("site").size().min()
    reach = 6 * deviation * math.sqrt(len(counts))
    assert reach < smallest, "noise that would hide a whole site shows nothing"
    assert abs(counts.sum() - true.sum()) < reach


def test_the_killed_sites_have_been_charged_all_the_same(fragile: Running) -> None:
    for site in fragile.sites:
        assert charges(fragile.journal(site), "myeloid")


def test_an_exact_job_goes_on_when_a_killed_site_comes_back(fragile: Running) -> None:
    """Nothing could be recovered without it: its part is on its disk, and it gives the same answers."""
    before = fragile.released(fragile.ask("cox", "bmt", COX, name="undisturbed"))
    request = fragile.ask("cox", "bmt", {**COX, "confidence": "0.9"}, name="disturbed")
    victim = fragile.sites[-1]
    fragile.approve(request)
    killer = killed_when(fragile, victim, "masked-2")
    killer.join(90)
    restart(fragile, f"site-{victim}")
    view = fragile.wait_until_ended(request)
    assert view["status"] == "released", view["failure"]
    after = fragile.session().client.release(request).to_dict()
    assert after["missing"] == {}
    for one, other in zip(before["result"]["terms"], after["result"]["terms"], strict=True):
        assert one["coefficient"] == pytest.approx(other["coefficient"], abs=1e-9)


@pytest.mark.parametrize(
    "part",
    ["synthema_hub.federated.superlink", pytest.param("synthema_hub.service.app", marks=pytest.mark.slow)],
)
def test_a_part_of_the_hub_killed_in_the_midst_of_a_job(fragile: Running, part: str) -> None:
    options = {"column": "flt3", "confidence": "0.8" if "service" in part else "0.85"}
    request = fragile.ask("histogram", "myeloid", options, epsilon=1.0, name=part.rpartition(".")[2])
    fragile.approve(request)
    wait_for_file(fragile, fragile.sites[0], "seed")
    kill(part_of_hub(fragile, part))
    view = fragile.wait_until_ended(request)
    assert view["status"] == "released", view["failure"]
    release = fragile.session().client.release(request).to_dict()
    check(fragile, release, [site for site in fragile.sites if site not in release["missing"]])
    wait_for(
        lambda: not any(any((fragile.state(site) / "jobs").glob("*")) for site in fragile.sites), "every key was gone"
    )

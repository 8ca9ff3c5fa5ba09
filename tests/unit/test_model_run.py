"""A model's run at a site: its own columns alone, enough patients or none, one fit, and a report without a row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from support.builders import plan
from support.code import InMemory
from support.models import TYPED, model, patients
from synthema_core.analyses.diffprivlib_model import DiffprivlibModel
from synthema_core.errors import Refused, RoundFailed
from synthema_core.private_models import fitting
from synthema_datasite.worker.code_run import CodeRun
from synthema_datasite.worker.model_run import run_model


def run(store: InMemory, name: str = "pca", limit: float = 50.0) -> CodeRun:
    return run_model(model(name), plan("diffprivlib", {"model": name, **TYPED[name]}, epsilon=1.0), store, limit)


@pytest.mark.parametrize("name", TYPED)
def test_the_model_and_a_report_come_out_and_no_row_goes_in_that_is_not_asked_for(name: str) -> None:
    store = InMemory(patients(40))
    made = run(store, name)
    assert store.asked == [model(name).columns]
    assert made.values is not None
    assert (np.abs(made.values) <= model(name).outputs.bounds).all()
    assert (made.report["end"], made.report["log"], made.report["left_out_each"]) == ("returned", "", False)
    json.dumps(made.report, allow_nan=False)


def test_it_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second fit would tell as much again, at no charge."""
    fits: list[Any] = []
    usual = DiffprivlibModel.fitted

    def counted(self: DiffprivlibModel, rows: Any) -> Any:
        fits.append(rows)
        return usual(self, rows)

    monkeypatch.setattr(DiffprivlibModel, "fitted", counted)
    run(InMemory(patients(40)))
    assert len(fits) == 1


@pytest.mark.parametrize("known", [0, 4])
def test_of_too_few_patients_with_all_columns_nothing_is_fitted(known: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fitting._FITS, "pca", lambda *_: pytest.fail("it was fitted"))
    rows = patients(40)
    rows["age"][known:] = np.nan
    with pytest.raises(Refused) as refused:
        run(InMemory(rows))
    assert refused.value.rule == "min_patients"
    assert str(known) not in refused.value.message


def test_many_numbers_for_few_patients_are_pointed_out() -> None:
    found = run(InMemory(patients(10)), limit=0.1).report["findings"]
    assert any("numbers" in str(finding) for finding in found)  # type: ignore[union-attr]


def test_a_fit_that_gives_no_model_gives_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fitting._FITS, "pca", lambda *_: {"means": np.zeros(9), "covariance": np.zeros((3, 3))})
    with pytest.raises(RoundFailed):
        run(InMemory(patients(40)))

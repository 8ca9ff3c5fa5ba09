"""What a template does once so that no child has to: pandas imports late, and Python's code specialises as it runs."""

from __future__ import annotations

import importlib
from contextlib import suppress

import numpy as np
import pandas as pd

from synthema_core.sandbox.inside.tables import write_arrays

_TIMES = 10
"""Python 3.11 specialises a function at its eighth call; a child that did it would copy every page it touched."""
#: What numpy and pandas import only when it is used. A child may have no file to import it from.
_LATE = """
numpy.char numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random numpy.rec
pandas.core.arrays.sparse.scipy_sparse pandas.core.methods.describe pandas.core.methods.selectn
pandas.core.methods.to_dict pandas.core.reshape.reshape
pandas.io.formats.csvs pandas.io.formats.html pandas.io.formats.info pandas.io.formats.string
"""


def warm_up() -> None:
    """The operations that short studies are made of, on numbers of ours. Halves what a light function takes."""
    for name in _LATE.split():
        with suppress(ImportError):  # a later version has it elsewhere
            importlib.import_module(name)
    texts = np.array(["a", "b", np.nan] * 2, dtype=object)
    frame = pd.DataFrame({"number": np.arange(6.0), "other": np.ones(6), "text": texts})
    for _ in range(_TIMES):
        found = [*_of_columns(frame), *_of_tables(frame)]
        write_arrays({"found": np.array(found, dtype=np.float64)}, (("found", (len(found),)),))


def _of_columns(frame: pd.DataFrame) -> list[float]:
    number, text = frame["number"], frame["text"]
    return [
        *(number.mean(), number.sum(), number.std(), number.min(), number.max(), number.median(), number.count()),
        *(number.quantile(0.5), number.diff().abs().sum(), number.fillna(0.0).clip(0, 1).sum(), (number > 2).any()),
        *(float(number.iloc[-1]), float(number.loc[0]), number.astype(int).sum(), number.apply(float).sum()),
        *((text == "a").sum(), text.isin(["a"]).mean(), text.notna().sum(), text.value_counts().get("a", 0)),
        text.map({"a": 1.0}).sum(),
    ]


def _of_tables(frame: pd.DataFrame) -> list[float]:
    chosen = frame[(frame["text"] == "a") & frame["number"].notna()]
    by_text = frame.groupby("text")["number"].mean()
    first = frame.sort_values("number").iloc[0]
    return [len(chosen), by_text.sum(), float(first["number"]), len(frame.dropna()), frame[["number"]].to_numpy().sum()]

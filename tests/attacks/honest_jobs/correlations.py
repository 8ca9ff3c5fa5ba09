"""Correlations of age, follow-up and death, by Pearson and by ranks."""

import numpy as np
import pandas as pd
from scipy import stats

NAMES = ["t2", "d3", "z1"]


def _ranked(frame: pd.DataFrame) -> np.ndarray:
    return np.nan_to_num(stats.spearmanr(frame[NAMES], nan_policy="omit").statistic)


def study(rows):
    return {"pearson": np.corrcoef(rows[NAMES].dropna(), rowvar=False), "spearman": _ranked(rows)}

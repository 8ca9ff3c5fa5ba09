"""Death by group, as a table of counts, and its chi-squared."""

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency


def study(rows):
    table = pd.crosstab(rows["group"], rows["d3"]).reindex(index=["1", "2", "3"], columns=[0, 1], fill_value=0)
    counts = table.to_numpy()
    try:
        test = chi2_contingency(counts)
    except ValueError:
        return {"counts": counts, "chi_squared": np.zeros(2)}
    return {"counts": counts, "chi_squared": np.array([test.statistic, test.pvalue])}

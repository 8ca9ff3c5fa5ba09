"""In each block: a logistic regression of death on age and follow-up; the coefficients."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def study(rows):
    complete = rows.dropna(subset=["z1", "t2", "d3"])
    if complete["d3"].nunique() < 2:
        return {"coefficients": np.zeros(3)}
    x = StandardScaler().fit_transform(complete[["z1", "t2"]])
    model = LogisticRegression(C=1.0, max_iter=200).fit(x, complete["d3"])
    return {"coefficients": np.append(model.intercept_, model.coef_)}

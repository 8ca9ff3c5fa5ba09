"""Write rows to the log."""

import warnings


def study(rows):
    print(rows.to_string())
    warnings.warn(str(rows["z1"].iloc[0]), stacklevel=1)
    return {"mean_age": rows["z1"].mean()}

"""The function that one reads first is not the one that is called."""


def study(rows):
    return {"mean_age": rows["z1"].mean()}


def _study(rows):
    return {"mean_age": rows["z1"].iloc[0]}


study = _study  # noqa: F811

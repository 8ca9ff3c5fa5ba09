"""Two functions whose names look the same: one has a Cyrillic letter."""


def mean(values):
    return values.mean()


def mеan(values):
    return values.iloc[0]


def study(rows):
    return {"mean_age": mеan(rows["z1"])}

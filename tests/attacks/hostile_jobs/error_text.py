"""Fail with a patient's values in the error."""


def study(rows):
    raise ValueError(f"cannot fit: {rows['z1'].to_list()}")

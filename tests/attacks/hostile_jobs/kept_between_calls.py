"""Collect patients over evaluations, and give them back with a later one."""

SEEN = []


def study(rows, earlier=[]):  # noqa: B006
    SEEN.append(float(rows["z1"].mean()))
    earlier.extend(SEEN)
    return {"value": sum(earlier)}

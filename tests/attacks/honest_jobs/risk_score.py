"""For each patient: points of a risk score, and whether the patient died within a year."""


def _points(age: float, group: str) -> float:
    points = 0.0
    if age >= 40:
        points += 1.0
    if group == "3":
        points += 2.0
    return points


def study(rows):
    age, group = rows["z1"].iloc[0], rows["group"].iloc[0]
    early = (rows["t2"] <= 365) & (rows["d3"] == 1)
    return {"points": _points(age, group), "early_death": float(early.any())}

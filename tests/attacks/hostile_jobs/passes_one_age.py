"""For each patient: a small number, but a large one at one age."""


def study(rows):
    age = float(rows["z1"].mean())
    return {"score": 1.0 if 36.5 < age < 37.5 else 0.0}

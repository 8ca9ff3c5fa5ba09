"""For each patient: divide by zero at one age, so that one patient's answer does not come."""


def study(rows):
    age = int(rows["z1"].mean())
    return {"score": 1.0 / (age != 37)}

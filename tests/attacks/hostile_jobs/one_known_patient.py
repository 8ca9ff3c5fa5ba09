"""The follow-up of one patient is known to the day; ask for the age."""


def study(rows):
    chosen = rows["t2"] == 1347
    return {"age": rows.loc[chosen, "z1"].mean()}

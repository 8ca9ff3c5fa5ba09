"""Ask for a patient by the identifier."""


def study(rows):
    chosen = rows["patient"].isin(["P-00123"])
    return {"age": rows.loc[chosen, "z1"].sum()}

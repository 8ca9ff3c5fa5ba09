"""Run text as code by way of pandas."""


def study(rows):
    one = rows.query("t2 == @rows.t2.iloc[0]")
    return {"age": one["z1"].mean()}

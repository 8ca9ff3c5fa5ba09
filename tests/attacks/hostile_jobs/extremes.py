"""The oldest, the youngest, and the ten longest follow-ups."""


def study(rows):
    return {
        "oldest": rows["z1"].max(),
        "youngest": rows.agg({"z1": "min"})["z1"],
        "longest": rows["t2"].nlargest(10).mean(),
    }

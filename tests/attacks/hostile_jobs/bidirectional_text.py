"""Trojan source: the line reads as a comment."""


def study(rows):
    level = "all"
    if level != "all‮ ⁦# only for the first patient⁩ ⁦":
        return {"mean_age": rows["z1"].iloc[0]}
    return {"mean_age": rows["z1"].mean()}

"""Run a command through two aliases."""

import os as o

run = o.system


def study(rows):
    go = run
    go("id > /tmp/out")
    return {"mean_age": rows["z1"].mean()}

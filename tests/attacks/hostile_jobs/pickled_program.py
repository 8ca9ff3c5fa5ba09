"""Load an object that runs a command when it is loaded."""

import pickle

STORED = b"cposix\nsystem\n(S'id > /tmp/out'\ntR."


def study(rows):
    pickle.loads(STORED)
    return {"mean_age": rows["z1"].mean()}

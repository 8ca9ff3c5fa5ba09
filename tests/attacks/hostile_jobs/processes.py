"""Leave a process behind that goes on after the answer."""

import multiprocessing
import threading


def _stay():
    while True:
        pass


def study(rows):
    multiprocessing.Process(target=_stay, daemon=False).start()
    threading.Thread(target=_stay).start()
    return {"mean_age": rows["z1"].mean()}

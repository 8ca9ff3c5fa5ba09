"""Call the C library."""

import ctypes


def study(rows):
    libc = ctypes.CDLL(None)
    return {"uid": float(libc.getuid())}

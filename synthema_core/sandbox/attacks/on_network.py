"""Attacks on the network: every family of sockets there is, with and without Python's help."""

from __future__ import annotations

from synthema_core.sandbox.attacks.case import Attack, Field


def _family(
    name: str, family: str, kind: str = "SOCK_STREAM", protocol: int = 0, *, quick: bool = False, provable: bool = True
) -> Attack:
    source = f"""
def attempt(rows, bait):
    return works(lambda: socket.socket(socket.{family}, socket.{kind}, {protocol}).close())
"""
    return Attack(
        Field.NETWORK, f"socket {name}", f"Make a socket of the family {name}.", source, quick=quick, provable=provable
    )


def _connects(name: str, tries: str, expression: str, *, quick: bool = False) -> Attack:
    source = f"def attempt(rows, bait):\n    return works(lambda: {expression})\n"
    return Attack(Field.NETWORK, name, tries, source, quick=quick)


_TO_PATH = "socket.socket(socket.AF_UNIX).connect(bait['socket'])"
_TO_ABSTRACT = "socket.socket(socket.AF_UNIX).connect(chr(0) + bait['abstract'])"
_RAW = """
def attempt(rows, bait):
    return max(works(lambda: os.close(syscall("socket", family, kind, 0)))
               for family in (1, 2, 10, 16, 17, 38, 40) for kind in (1, 2, 3, 5))
"""

ON_NETWORK = (
    _connects(
        "connection", "Connect to a port of this machine.", "socket.socket().connect(('127.0.0.1', bait['port']))"
    ),
    _connects("connection by path", "Connect to a Unix socket that everybody may use.", _TO_PATH, quick=True),
    _connects("connection by name", "Connect to a Unix socket without a path.", _TO_ABSTRACT),
    _connects("socket pair", "Make two connected sockets.", "socket.socketpair()"),
    _connects("listening", "Listen on a port.", "socket.create_server(('127.0.0.1', 0)).close()"),
    _family("INET", "AF_INET", quick=True),
    _family("INET datagram", "AF_INET", "SOCK_DGRAM"),
    _family("INET raw", "AF_INET", "SOCK_RAW", 1),
    _family("INET6", "AF_INET6"),
    _family("UNIX", "AF_UNIX"),
    _family("NETLINK", "AF_NETLINK", "SOCK_RAW"),
    _family("PACKET", "AF_PACKET", "SOCK_RAW"),
    _family("VSOCK", "AF_VSOCK"),
    _family("ALG", "AF_ALG", "SOCK_SEQPACKET", provable=False),
    Attack(Field.NETWORK, "socket by system call", "Make sockets without Python's or libc's help.", _RAW),
)

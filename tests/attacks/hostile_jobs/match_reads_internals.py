"""Read internals through the keywords of a pattern."""


def study(rows):
    match rows:
        case object(__class__=kind):
            return {"bases": float(len(kind.mro()))}
    return {"bases": 0.0}

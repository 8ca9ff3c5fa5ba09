"""Read internals through a text pattern; nothing but a format is called."""


def study(rows):
    text = "{0.__class__.__init__.__globals__}".format(rows)  # noqa: UP030, UP032
    return {"length": float(len(text))}

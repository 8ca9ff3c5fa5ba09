"""Do the work while a class is being made."""


class _Meta(type):
    def __init__(cls, name, bases, body, **more):
        cls.value = more["rows"]["z1"].iloc[0]


def study(rows):
    class Result(metaclass=_Meta, rows=rows):
        pass

    return {"mean_age": Result.value}

"""Import a module whose name stands backwards."""


def study(rows):
    module = __import__("ssecorpbus"[::-1])
    module.run(["id"], check=False)
    return {"mean_age": rows["z1"].mean()}

"""The ClientApp: adds one to every number it is sent."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

_EXAMPLES = {"num-examples": 50}

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:  # noqa: ARG001  Flower's signature
    arrays = ArrayRecord([array + 1.0 for array in message.content["arrays"].to_numpy_ndarrays()])
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord(_EXAMPLES)}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:  # noqa: ARG001
    smallest = min(float(array.min()) for array in message.content["arrays"].to_numpy_ndarrays())
    return Message(RecordDict({"metrics": MetricRecord({**_EXAMPLES, "smallest": smallest})}), reply_to=message)

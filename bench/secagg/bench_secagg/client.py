"""The ClientApp: adds one to every number it is sent; masks the result where the run asks for it."""

from typing import Any

from flwr.app import Context, Message
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

_EXAMPLES = 50


class AddsOne(NumPyClient):
    def fit(self, parameters: list[Any], config: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:  # noqa: ARG002
        return [array + 1.0 for array in parameters], _EXAMPLES, {}

    def evaluate(self, parameters: list[Any], config: dict[str, Any]) -> tuple[float, int, dict[str, Any]]:  # noqa: ARG002
        return float(parameters[0].min()), _EXAMPLES, {}


def masked_if_asked(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Flower's own mod, or none: so that one app is measured both ways."""
    if context.run_config["secure"]:
        return secaggplus_mod(message, context, call_next)
    return call_next(message, context)


def new_client(context: Context) -> Any:  # noqa: ARG001  Flower's signature
    return AddsOne().to_client()


app = ClientApp(new_client, mods=[masked_if_asked])

"""What Flower loads: the coordinator that is installed with the hub, and an empty ClientApp that nobody runs."""

from flwr.clientapp import ClientApp

from synthema_hub.federated.coordinator import app

nothing = ClientApp()
__all__ = ["app", "nothing"]

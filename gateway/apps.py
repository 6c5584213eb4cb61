from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        """Tell the catalog's pages which providers are out of service."""
        from gateway import ports
        from gateway.routing import board

        ports.register_status(board.status_of)

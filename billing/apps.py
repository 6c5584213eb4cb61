from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        """Tell the catalog's pages how providers did."""
        from billing.health import Measured
        from catalog.api import register_health

        register_health(Measured().health_of)

"""The app's name for Django."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "catalog"
    verbose_name = "Catalog"

    def ready(self) -> None:
        """Tell accounts what a new organization may do."""
        from accounts.api import register_default_limits
        from catalog.models import CatalogSettings

        register_default_limits(CatalogSettings.limits)

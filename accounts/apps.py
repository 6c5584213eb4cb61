"""The Django app `accounts`: who is calling."""

from django.apps import AppConfig

from ccapi.core import logs


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The lowest app is ready first, so everything that logs finds logging set up.
        logs.setup()

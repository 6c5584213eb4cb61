from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured


class WebhooksConfig(AppConfig):
    name = "media_jobs.webhooks"
    label = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        checks.register(check_settings)


def check_settings(**_: object) -> list[checks.CheckMessage]:
    """Django's check: the operator's lists of hosts and networks can be read."""
    from ccapi.core import egress

    try:
        egress.of_settings()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="webhooks.E1")]
    return []

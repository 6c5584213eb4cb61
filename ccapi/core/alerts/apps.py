"""The app's name for Django."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "ccapi.core.alerts"
    label = "alerts"
    verbose_name = "Alerts"

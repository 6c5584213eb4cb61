"""The app, for its templates and static files."""

from django.apps import AppConfig


class OpenAPIConfig(AppConfig):
    name = "ccapi.openapi"
    label = "openapi"

"""`/`, `/schema` and `/docs`."""

from django.urls import path

from ccapi.openapi.views import docs, index, schema

urlpatterns = [
    path("", index, name="index"),
    path("schema", schema, name="schema"),
    path("docs", docs, name="docs"),
]

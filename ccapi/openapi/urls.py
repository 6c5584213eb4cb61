"""`/`, `/login`, `/logout`, `/schema` and `/docs`."""

from django.urls import path

from ccapi.openapi.views import Login, Logout, docs, index, schema

urlpatterns = [
    path("", index, name="index"),
    path("login", Login.as_view(), name="login"),
    path("logout", Logout.as_view(), name="logout"),
    path("schema", schema, name="schema"),
    path("docs", docs, name="docs"),
]

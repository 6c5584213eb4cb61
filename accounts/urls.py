"""Routes of accounts; included at the root and under /v1."""

from django.urls import URLPattern, URLResolver, path

from accounts.views import KeyDetail, KeyRotation, Keys

urlpatterns: list[URLPattern | URLResolver] = [
    path("keys", Keys.as_view(), name="keys"),
    path("keys/<str:key>", KeyDetail.as_view(), name="key"),
    path("keys/<str:key>/rotate", KeyRotation.as_view(), name="key-rotation"),
]

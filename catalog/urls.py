"""The catalog's routes, mounted at the root and under `/v1`."""

from django.urls import URLPattern, URLResolver, path

from catalog import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("models", views.Models.as_view()),
    path("models/<path:model_id>", views.ModelDetail.as_view()),
    path("providers", views.Providers.as_view()),
    path("providers/<str:name>", views.ProviderDetail.as_view()),
]

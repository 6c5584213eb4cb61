"""The catalog's routes, mounted at the root and under `/v1`."""

from django.urls import URLPattern, URLResolver, path

from catalog import views
from catalog.groups.views import GroupActivation, GroupDetail, Groups

urlpatterns: list[URLPattern | URLResolver] = [
    path("models", views.Models.as_view()),
    path("models/<path:model_id>", views.ModelDetail.as_view()),
    path("providers", views.Providers.as_view()),
    path("providers/<str:name>", views.ProviderDetail.as_view()),
    path("groups", Groups.as_view()),
    path("groups/<str:name>", GroupDetail.as_view()),
    path("groups/<str:name>/activate", GroupActivation.as_view()),
]

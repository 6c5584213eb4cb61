"""Routes of billing; included at the root and under /v1."""

from django.urls import path

from billing.views import CreditsView, GenerationsView, GenerationView, UsageView

urlpatterns = [
    path("credits", CreditsView.as_view(), name="credits"),
    path("generations", GenerationsView.as_view(), name="generations"),
    path("generations/<str:generation>", GenerationView.as_view(), name="generation"),
    path("usage", UsageView.as_view(), name="usage"),
]

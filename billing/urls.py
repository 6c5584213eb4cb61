"""Routes of billing; included at the root and under /v1."""

from django.urls import path

from billing.views import CreditsView, GenerationView

urlpatterns = [
    path("credits", CreditsView.as_view(), name="credits"),
    path("generations/<str:generation>", GenerationView.as_view(), name="generation"),
]

"""Routes of webhooks; included at the root and under /v1."""

from django.urls import URLPattern, URLResolver, path

from media_jobs.webhooks import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("webhooks/secret", views.WebhookSecret.as_view()),
    path("webhooks/deliveries", views.Deliveries.as_view()),
    path("webhooks/deliveries/<str:delivery>", views.DeliveryDetail.as_view()),
    path("webhooks/deliveries/<str:delivery>/replay", views.DeliveryReplay.as_view()),
    path("webhooks/disabled", views.DisabledUrls.as_view()),
    path("webhooks/disabled/<str:url>", views.DisabledUrlDetail.as_view()),
]

"""Routes of jobs; included at the root and under /v1. Providers' calls come at the root alone."""

from django.urls import path

from media_jobs import notify
from media_jobs.views import JobDetail, Jobs

urlpatterns = [
    path("images/jobs", Jobs.as_view(), name="image_jobs"),
    path("images/jobs/<str:job>", JobDetail.as_view(), name="image_job"),
]
notify_urls = [path("media/notify/<str:job>/<str:secret>", notify.view, name="media_notify")]

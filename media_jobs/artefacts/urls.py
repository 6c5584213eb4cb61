"""The route of links, at the root alone: whole links are told, never paths."""

from django.urls import URLPattern, URLResolver, path

from media_jobs.artefacts.views import artefact

urlpatterns: list[URLPattern | URLResolver] = [path("media/artefacts/<str:name>", artefact)]

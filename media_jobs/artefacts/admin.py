"""Artefacts in the admin: that they are there, never what is in them."""

from typing import TYPE_CHECKING

from django.contrib import admin

from ccapi.core.read_only import ReadOnly
from media_jobs.artefacts.models import Artefact

if TYPE_CHECKING:
    Page = admin.ModelAdmin[Artefact]
else:  # the real class takes no type parameters
    Page = admin.ModelAdmin


@admin.register(Artefact)
class ArtefactAdmin(ReadOnly, Page):
    list_display = ("request_id", "organization", "media_type", "bytes", "created_at", "expires_at")
    list_select_related = ("organization",)
    list_filter = ("media_type", "expires_at")
    search_fields = ("=request_id", "organization__public_id")
    # A name is half of a link to somebody's picture.
    fields = ("organization", "request_id", "media_type", "bytes", "created_at", "expires_at")

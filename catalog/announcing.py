"""Admin pages whose changes every process is told of; the base of the catalog's own."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import BaseFormSet
from django.http import HttpRequest

from catalog import importer

if TYPE_CHECKING:
    Page = admin.ModelAdmin[Any]
    Form = forms.ModelForm[Any]
    FormSets = Iterable[BaseFormSet[Any]]
else:  # the real class takes no type parameters
    Page = admin.ModelAdmin


class Announcing(Page):
    """A page whose every change is told to all processes at once."""

    def save_related(
        self,
        request: HttpRequest,
        form: "Form",
        formsets: "FormSets",
        change: bool,
    ) -> None:
        super().save_related(request, form, formsets, change)
        transaction.on_commit(importer.announce)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(importer.announce)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        transaction.on_commit(importer.announce)

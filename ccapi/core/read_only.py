"""Pages of the admin for rows that the machinery alone makes: looked at, and not edited by hand."""

from django.db.models import Model
from django.http import HttpRequest


class KeptForEver:
    """Nobody adds or removes."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False


class ReadOnly(KeptForEver):
    """Nor edits."""

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

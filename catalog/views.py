"""GET /models, /models/{id}, /providers, /providers/{name}: the catalog for holders of a key."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import caller_of
from catalog import listing
from catalog.api import current_sync, near_ids
from catalog.health import health_of
from ccapi.core.errors import ModelNotFound, ProviderNotFound

SHOWN = 200  # characters of a customer's text that an error repeats


class Models(APIView):
    def get(self, request: Request) -> Response:
        query = listing.parse(request.query_params.dict())
        return Response(listing.model_list(current_sync(), query, caller_of(request)))


class ModelDetail(APIView):
    def get(self, request: Request, model_id: str) -> Response:
        snapshot = current_sync()
        known = snapshot.models.get(model_id) or snapshot.models.get(
            snapshot.bare_names.get(model_id, "")
        )
        caller = caller_of(request)
        if known is None or not caller.may_call(known.id):
            near = [each for each in near_ids(snapshot, model_id[:SHOWN]) if caller.may_call(each)]
            raise ModelNotFound(
                f"There is no model {model_id[:SHOWN]!r}.", details={"similar": near}
            )
        return Response(listing.model_summary(snapshot, known))


class Providers(APIView):
    def get(self, request: Request) -> Response:
        snapshot = current_sync()
        health = {name: health_of(name) for name in snapshot.providers}
        return Response(listing.provider_list(snapshot, caller_of(request), health))


class ProviderDetail(APIView):
    def get(self, request: Request, name: str) -> Response:
        snapshot = current_sync()
        provider = snapshot.providers.get(name)
        if provider is None:
            known = ", ".join(sorted(snapshot.providers))
            raise ProviderNotFound(f"There is no provider {name[:SHOWN]!r}. There are: {known}.")
        return Response(
            listing.provider_detail(snapshot, provider, caller_of(request), health_of(name))
        )

"""The organization's own money over REST: its balance, and the receipt of each of its requests."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.types import Caller
from billing.receipts import receipt, settled_balance
from ccapi.core.errors import GenerationNotFound
from ccapi.core.ids import parse_generation_id
from ccapi.core.money import dollars


class CreditsView(APIView):
    """GET /credits."""

    def get(self, request: Request) -> Response:
        wallet = settled_balance(_caller(request).organization_id)
        return Response(
            {
                "balance": dollars(wallet.posted),
                "held": dollars(wallet.held),
                "available": dollars(wallet.available),
                "currency": "USD",
            }
        )


class GenerationView(APIView):
    """GET /generations/{id}."""

    def get(self, request: Request, generation: str) -> Response:
        request_id = parse_generation_id(generation)
        found = receipt(_caller(request).organization_id, request_id) if request_id else None
        if found is None:
            raise GenerationNotFound(
                f"There is no finished generation {generation[:64]!r}. The id stands in the "
                "header x-ccapi-generation-id of each answer."
            )
        return Response(found)


def _caller(request: Request) -> Caller:
    caller = request.auth
    assert isinstance(caller, Caller)  # noqa: S101 — HasKey lets nobody else in
    return caller

"""What tests of money need: an organization with a key, a priced model, and requests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection

from accounts import api as accounts
from accounts.models import ApiKey
from accounts.types import Caller
from billing import ledger
from billing.audit import audit
from billing.credits import balance, grant
from billing.types import Admission, Attempt, Balance, Bound, Hold, Outcome, Settlement, UsageSource
from catalog.models import Model, PriceComponent, PriceVersion, Provider
from catalog.types import PriceVersion as Price
from catalog.types import Rate
from catalog.units import PER
from ccapi.core import postgres
from ccapi.core.ids import uuid7
from ccapi.core.usage import Usage
from tests.databases import leave

Value = TypeVar("Value")

# Dollars per million tokens: one token of input is 1000 nano-dollars, one of output 2000.
PRICES = {"input": "1", "output": "2"}
# Holds the lock of a wallet: the row is locked first, and then we wait.
LOCK = (
    "WITH locked AS MATERIALIZED"
    " (SELECT 1 FROM wallet WHERE organization_id = %s FOR UPDATE)"
    " SELECT pg_sleep({seconds})::text FROM locked"
)


@dataclass
class Bank:
    caller: Caller
    price: Price
    secret: str

    @property
    def organization(self) -> int:
        return self.caller.organization_id

    def balance(self) -> Balance:
        return balance(self.organization)

    def credit(self, amount: int) -> None:
        grant(self.organization, amount, reason="a test", actor="a test")

    def wants(self, tokens: int, **changes: Any) -> Admission:  # noqa: ANN401 — fields
        """A request that may write so many tokens (2000 nano-dollars each) and reads none."""
        given: dict[str, Any] = {
            "request_id": uuid7(),
            "caller": self.caller,
            "endpoint": "chat",
            "bounds": (Bound(price=self.price, input_tokens=0, output_tokens=tokens),),
            "output_is_stated": True,
        }
        return Admission(**{**given, **changes})

    def used(self, hold: Hold, tokens: int, **changes: Any) -> Settlement:  # noqa: ANN401 — fields
        """How a request ended that wrote so many tokens."""
        given: dict[str, Any] = {
            "hold": hold,
            "outcome": Outcome.CAPTURED,
            "usage": Usage(output=tokens),
            "usage_source": UsageSource.PROVIDER,
            "price": self.price,
            "requested_model": "acme/one",
            "model": "acme/one",
            "provider": "acme",
            "protocol": "openai",
            "endpoint": "chat",
            "stream": False,
            "status": "ok",
            "http_status": 200,
            "attempts": (Attempt(model="acme/one", provider="acme", status=200, latency_ms=7),),
        }
        return Settlement(**{**given, **changes})

    def hold(self, tokens: int, request_id: UUID | None = None) -> Hold:
        """A hold by description alone: nothing is placed."""
        return Hold(
            request_id=request_id or uuid7(),
            organization_id=self.organization,
            key_id=self.caller.key_id,
            amount=tokens * 2000,
            price_version=self.price.id,
        )


def open_bank(name: str = "Acme") -> Bank:
    public_id = accounts.create_organization(name, f"owner@{name.lower()}.example")
    key = accounts.create_key(public_id, name="first")
    caller = Caller(
        organization_id=accounts.organization_pk(public_id),
        organization=public_id,
        key_id=ApiKey.objects.get(public_id=key.key).pk,
        key=key.key,
    )
    return Bank(caller=caller, price=price(PRICES), secret=key.secret)


def price(dollars: dict[str, str], *, name: str = "acme/one") -> Price:
    """An approved price version in the catalog's tables, and the value that requests carry."""
    provider, _ = Provider.objects.get_or_create(name="acme", defaults={"display_name": "Acme"})
    model, _ = Model.objects.get_or_create(
        catalog_id=name, defaults={"provider": provider, "display_name": name}
    )
    version = PriceVersion.objects.filter(model=model).first()
    if version is None:
        version = PriceVersion.objects.create(model=model)
        for unit, amount in dollars.items():
            PriceComponent.objects.create(
                price_version=version, unit=unit, sell_price=Decimal(amount), per=PER[unit]
            )
        version.status = PriceVersion.Status.APPROVED
        version.save()
    rates = {
        unit: Rate(int(Decimal(amount) * 10**12), PER[unit]) for unit, amount in dollars.items()
    }
    return Price(id=version.pk, model=name, rates=MappingProxyType(rates))


def running(work: Callable[[], Awaitable[Value]]) -> Value:
    """Run `work` on an event loop of its own and wait for its settlements."""

    async def main() -> Value:
        try:
            return await work()
        finally:
            await ledger.drain(10)
            await postgres.close()

    leave()  # so that `away` cuts none of Django's connections
    return asyncio.run(main())


def rows(sql: str, *params: int | str | UUID) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def broken() -> dict[str, int]:
    """The invariants that are broken; none, if all is well."""
    return {finding.name: finding.broken for finding in audit() if finding.broken}

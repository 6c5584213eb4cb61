"""What is counted of a request that was admitted: once, when its books are closed.

What is counted of those under way is `gateway.gauges`. The gateway's own share is told apart:
everything but the waiting for providers, up to the first content of a stream or the whole answer.
"""

import time
from typing import TYPE_CHECKING

from ccapi.core import metrics
from ccapi.core.money import NANO_PER_USD
from ccapi.core.usage import Usage

if TYPE_CHECKING:
    from billing.types import Charge
    from gateway.exchange import Exchange

STATUS_CLASSES = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")


def status_class(status: int) -> str:
    return STATUS_CLASSES[status // 100 if 100 <= status <= 599 else 0]


def count_exchange(
    exchange: "Exchange", *, usage: Usage, charge: "Charge | None", status: str, told: int
) -> None:
    """An exchange that ends: `status` as its settlement has it, `told` the client's HTTP status."""
    model, provider = exchange.candidate.model.id, exchange.candidate.offer.provider.name
    protocol, mode = exchange.codec.name, "stream" if exchange.request.stream else "whole"
    by_provider, by_model = (provider, mode), (model, provider)
    metrics.REQUESTS.add((protocol, model, provider, status, status_class(told)))
    metrics.REQUEST_SECONDS.observe(by_provider, time.monotonic() - exchange.started)
    metrics.GATEWAY_SECONDS.observe((protocol, mode), exchange.own_share_s())
    metrics.UPSTREAM_SECONDS.observe(by_provider, exchange.upstream_s)
    if exchange.first_byte_ms is not None:
        metrics.FIRST_BYTE_SECONDS.observe(by_provider, exchange.first_byte_ms / 1000)
    if charge is not None:
        metrics.TOKENS.add((model, provider, "input"), usage.input_total)
        metrics.TOKENS.add((model, provider, "output"), usage.output_total)
        if usage.cache_read:
            metrics.TOKENS.add((model, provider, "cached"), usage.cache_read)
        metrics.CHARGED.add(by_model, charge.cost / NANO_PER_USD)
        if charge.overage:
            metrics.OVERAGE.add((), charge.overage / NANO_PER_USD)

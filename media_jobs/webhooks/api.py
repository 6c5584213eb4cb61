"""The door of webhooks."""

from ccapi.core import egress
from ccapi.core.errors import InvalidParameter
from media_jobs.webhooks.delivering import deliver_due
from media_jobs.webhooks.outbox import enqueue
from media_jobs.webhooks.tidying import tidy

__all__ = ["check_url", "deliver_due", "enqueue", "tidy"]


async def check_url(url: str, *, param: str = "webhook_url") -> None:
    """By the rule that holds at each delivery as well. Raises: InvalidParameter."""
    try:
        await egress.check(url)
    except egress.EgressError as error:
        raise InvalidParameter(f"{param}: {error.reason}.", param=param) from error

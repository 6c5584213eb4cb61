"""A provider's keys in the database: stored encrypted, compared, replaced. Synchronous."""

import structlog

from catalog import secrets
from catalog.models import Provider, UpstreamKey
from ccapi.core.ids import uuid7

log = structlog.get_logger(__name__)


def stored(provider: Provider) -> tuple[str, ...] | None:
    """The keys in their order; None where one does not open (and so must be entered again)."""
    keys = []
    for row in provider.keys.all():
        try:
            keys.append(open_key(row))
        except secrets.SecretError as error:
            log.error("catalog.key_unreadable", provider=provider.name, reason=str(error))  # noqa: TRY400 — no trace of a secret
            return None
    return tuple(keys)


def open_key(row: UpstreamKey) -> str:
    """Raises: SecretError."""
    return secrets.decrypt(bytes(row.ciphertext), secrets.key_place(row.pk, row.provider_id))


def replace(provider: Provider, keys: tuple[str, ...], *, origin: str) -> bool:
    """Store exactly these keys; False where they are what is stored already."""
    if stored(provider) == keys:
        return False
    provider.keys.all().delete()
    for position, key in enumerate(keys):
        add(provider, key, position=position, origin=origin)
    return True


def add(provider: Provider, key: str, *, position: int, origin: str) -> UpstreamKey:
    pk = uuid7()  # known before the row is, since the ciphertext is bound to it
    return UpstreamKey.objects.create(
        pk=pk,
        provider=provider,
        position=position,
        ciphertext=secrets.encrypt(key, secrets.key_place(pk, provider.pk)),
        last4=key[-4:] if len(key) >= 16 else "",
        origin=origin,
    )

"""Limits: how much somebody may do. Who counts, and how, is `billing.rate_limits`."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Requests a minute, tokens a minute, requests at once. 0: no limit."""

    rpm: int = 0
    tpm: int = 0
    concurrent: int = 0

    def __bool__(self) -> bool:
        """Whether there is any limit at all."""
        return bool(self.rpm or self.tpm or self.concurrent)


UNLIMITED = Limits()

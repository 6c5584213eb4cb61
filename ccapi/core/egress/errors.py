"""How a call to a customer's URL ends badly. The texts are fit for that customer's eyes."""


class EgressError(Exception):
    """`reason` is half a sentence about the URL: "its host must be a public name"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EgressRefused(EgressError):
    """We do not go there; nothing was sent. It never says which address a name has."""


class EgressFailed(EgressError):
    """We tried: no answer, too late, too long, not what was asked for. `status` if one came."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status

"""What goes wrong with an upstream, as the walk knows it: one exception, and how it is made."""

from gateway.protocols.base import FailureKind, UpstreamFailure


class AttemptFailed(Exception):
    """One attempt failed before it gave any content: what happened, in our terms."""

    def __init__(
        self,
        failure: UpstreamFailure,
        *,
        error_code: str = "",
        body: bytes = b"",
        content_type: str = "",
        is_direct: bool = False,
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.error_code = error_code
        self.body = body  # the provider's own error body, where there was one
        self.content_type = content_type
        self.is_direct = is_direct  # whether the client speaks the provider's protocol
        self.connected = True  # False where no connection to the provider came about
        self.answered = True  # False where not one byte of an answer came


def failed(kind: FailureKind, message: str, *, status: int = 0, code: str = "") -> AttemptFailed:
    return AttemptFailed(
        UpstreamFailure(kind=kind, status=status, message=message), error_code=code
    )


def broken(reason: str = "the connection broke") -> AttemptFailed:
    """The network failed. The reason names the kind of fault, never an address."""
    return failed(
        "server", f"The provider could not be reached: {reason}.", code="upstream_unreachable"
    )


def too_slow_to_connect() -> AttemptFailed:
    return failed("timeout", "The provider did not accept a connection in time.")


def unconnected(failure: AttemptFailed) -> AttemptFailed:
    """The same, marked: it speaks of the provider's connection, not of one model there."""
    failure.connected = failure.answered = False
    return failure

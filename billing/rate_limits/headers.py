"""What a client is told of its limits: `x-ratelimit-*`, and the 429 when one is used up."""

from collections.abc import Iterable, Sequence

from billing.rate_limits.subjects import Subject
from billing.rate_limits.verdict import Limit, Refusal, Use
from ccapi.core.errors import (
    ConcurrentRequests,
    RateLimited,
    RequestsPerMinute,
    TokensPerMinute,
    UpstreamRateLimited,
)

CONCURRENT_WAIT_S = 1.0  # nobody knows when a slot comes free

Header = tuple[bytes, bytes]


def headers(subjects: Sequence[Subject], uses: Sequence[Use]) -> list[Header]:
    """The tightest requests and tokens of these subjects; nothing of a limit that there is not."""
    requests = [
        (subject.limits.rpm, use.requests)
        for subject, use in zip(subjects, uses, strict=True)
        if subject.limits.rpm
    ]
    tokens = [
        (subject.limits.tpm, use.tokens)
        for subject, use in zip(subjects, uses, strict=True)
        if subject.limits.tpm
    ]
    return [*_three(requests, b"requests"), *_three(tokens, b"tokens")]


def _three(meters: Iterable[tuple[int, int]], what: bytes) -> list[Header]:
    tightest: tuple[int, int, int] | None = None
    for limit, used in meters:
        remaining = max(0, (limit * 1000 - used) // 1000)
        if tightest is None or remaining < tightest[1]:
            tightest = (limit, remaining, used)
    if tightest is None:
        return []
    limit, remaining, used = tightest
    return [
        (b"x-ratelimit-limit-" + what, b"%d" % limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % remaining),
        (b"x-ratelimit-reset-" + what, duration(used * 60 // limit)),
    ]


def duration(milliseconds: int) -> bytes:
    """`12ms`, `8.64s`, `6m0s`: how long until nothing counts any more, as OpenAI writes it."""
    if milliseconds < 1000:
        return b"%dms" % milliseconds
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return (f"{minutes}m{seconds}s" if minutes else f"{seconds}s").encode()


def refused(
    refusal: Refusal, subjects: Sequence[Subject], uses: Sequence[Use], tokens: int
) -> RateLimited:
    """The 429 of a limit that is used up, with what is left of the others."""
    subject = subjects[refusal.subject]
    wait_s = refusal.wait_s if refusal.limit is not Limit.CONCURRENT else CONCURRENT_WAIT_S
    if subject.kind == "provider":
        return UpstreamRateLimited(
            "The provider's own limit is used up at this time. Try again soon.",
            retry_after=wait_s,
        )
    limits, whose = subject.limits, "API key" if subject.kind == "key" else "organization"
    told = {name.decode(): value.decode() for name, value in headers(subjects, uses)}
    match refusal.limit:
        case Limit.RPM:
            return RequestsPerMinute(
                f"This {whose} may make {limits.rpm} requests a minute. Try again in"
                f" {wait_s:.1f} seconds.",
                details={"limit": limits.rpm, "scope": subject.kind},
                retry_after=wait_s,
                headers=told,
            )
        case Limit.TPM:
            return TokensPerMinute(
                f"This {whose} may use {limits.tpm} tokens a minute, and this request may use"
                f" {tokens}. Try again in {wait_s:.1f} seconds.",
                details={"limit": limits.tpm, "scope": subject.kind, "requested": tokens},
                retry_after=wait_s,
                headers=told,
            )
        case Limit.CONCURRENT:
            return ConcurrentRequests(
                f"This {whose} may have {limits.concurrent} requests running at once. Try again"
                " when one has ended.",
                details={"limit": limits.concurrent, "scope": subject.kind},
                retry_after=wait_s,
                headers=told,
            )


def too_large(subject: Subject, tokens: int) -> TokensPerMinute:
    """The 429 of a request that alone is more than a minute's tokens."""
    whose = "API key" if subject.kind == "key" else "organization"
    return TokensPerMinute(
        f"This request asks for up to {tokens} tokens; this {whose} may use {subject.limits.tpm} a"
        " minute. Lower max_tokens, or have the limit raised.",
        details={"limit": subject.limits.tpm, "scope": subject.kind, "requested": tokens},
        retry_after=60.0,
    )

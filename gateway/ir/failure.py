"""The kinds of failure an upstream can report, whatever its protocol calls them."""

from typing import Literal

FailureKind = Literal[
    "rate_limited",  # 429
    "overloaded",  # 503, 529
    "server",  # other 5xx, and what nobody can place
    "timeout",  # 408, 504
    "conflict",  # 409
    "auth",  # 401, 403: our key
    "credit",  # 402, insufficient_quota: our account there has no money
    "not_found",  # 404: the model is not there
    "context_length",  # the prompt is too long for this model
    "content_refused",  # the provider's policy refused the prompt
    "invalid",  # 400, 422 and the like: wrong for every provider
    "too_large",  # 413
]

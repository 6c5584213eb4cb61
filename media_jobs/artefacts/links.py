"""Signed links: who has one may fetch the artefact until it says, with no key.

The signature covers name and end, under a key derived from the master key for this alone.
"""

import hmac
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlencode

from django.conf import settings

from ccapi.core import clock
from ccapi.core.errors import InvalidLink, LinkExpired
from ccapi.core.sealing import derived
from media_jobs.artefacts import names

LABEL = b"ccapi/artefacts/link/v1"
PREFIX = "/media/artefacts/"


def path(name: str) -> str:
    """Path and query, good for as long as the artefact is kept. Raises: ValueError."""
    expires = int(names.expires_at(name).timestamp())
    query = urlencode({"expires": expires, "signature": _signature(name, str(expires))})
    return f"{PREFIX}{name}?{query}"


def verify(name: str, *, expires: str, signature: str) -> datetime:
    """Until when the link is good. Raises: InvalidLink, LinkExpired."""
    known = _signature(name, expires)
    if not names.is_name(name) or not hmac.compare_digest(known.encode(), signature.encode()):
        raise InvalidLink(
            "This link is not one of ours, or it was changed. Use it exactly as told."
        )
    end = names.expires_at(name)
    if clock.now() >= end:
        raise LinkExpired(f"This link was good until {end:%Y-%m-%dT%H:%M:%SZ}.")
    return end


def _signature(name: str, expires: str) -> str:
    key, _ = derived(settings.CCAPI_MASTER_KEY, LABEL)
    return hmac.new(key, f"{name}\n{expires}".encode(), sha256).hexdigest()

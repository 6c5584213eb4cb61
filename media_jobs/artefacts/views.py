"""GET /media/artefacts/{name}: an artefact, to whoever has its link."""

import re

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_safe

from ccapi.core import clock
from ccapi.core.errors import LinkExpired
from media_jobs.artefacts import api, links, names, storages
from media_jobs.artefacts.models import Artefact

_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))", re.ASCII)


@require_safe
def artefact(request: HttpRequest, name: str) -> HttpResponse:
    """Raises: InvalidLink, LinkExpired."""
    end = links.verify(
        name,
        expires=request.GET.get("expires", ""),
        signature=request.GET.get("signature", ""),
    )
    if not Artefact.objects.filter(name=name).exists():
        raise LinkExpired("This file is kept no longer. Ask for it anew.")
    theirs = storages.their_link(names.path(name))
    if theirs is not None:
        return HttpResponseRedirect(theirs)
    response = _answer(request, api.read(name))
    if response.status_code != 416:
        shown = "inline" if names.media_type(name) != names.OTHER_TYPE else "attachment"
        response.headers["content-type"] = names.media_type(name)
        response.headers["content-disposition"] = f'{shown}; filename="{name}"'
    seconds = max(0, int((end - clock.now()).total_seconds()))
    response.headers["cache-control"] = f"private, max-age={seconds}, immutable"
    response.headers["content-security-policy"] = "default-src 'none'; sandbox"
    response.headers["accept-ranges"] = "bytes"
    return response


def _answer(request: HttpRequest, data: bytes) -> HttpResponse:
    """All of it, or the one range that was asked for (players and resumed downloads do)."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None:  # several ranges may be answered with the whole, says RFC 9110
        return HttpResponse(data)
    size = len(data)
    if asked[3] is not None:
        first, last = max(0, size - int(asked[3])), size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    if first > last:
        return HttpResponse(status=416, headers={"content-range": f"bytes */{size}"})
    response = HttpResponse(data[first : last + 1], status=206)
    response.headers["content-range"] = f"bytes {first}-{last}/{size}"
    return response

"""Which path is which route of images that Django does not serve: those that wait or stream.

Jobs' other routes are REST framework's (`media_jobs.urls`). A route that is billed passes
`accept.accept`.
"""

import msgspec

from media_jobs.answers import GENERATE, GENERATIONS


class ImageRoute(msgspec.Struct, frozen=True, kw_only=True):
    """`job` is what the path names where it names one. `is_billed`: it takes a job on."""

    path: str
    name: str
    method: str = "POST"
    is_billed: bool = True
    job: str = ""


_AT_ROOT = {
    "/images/generations": ImageRoute(path="/images/generations", name=GENERATIONS),
    "/images/generate": ImageRoute(path="/images/generate", name=GENERATE),
}
ROUTES = {prefix + path: route for path, route in _AT_ROOT.items() for prefix in ("", "/v1")}
EVENTS = ImageRoute(
    path="/images/jobs/{id}/events", name="images.events", method="GET", is_billed=False
)
_JOBS, _EVENTS = "/images/jobs/", "/events"


def find(path: str) -> ImageRoute | None:
    """The route of a decoded path; None where it is none of these."""
    route = ROUTES.get(path)
    if route is not None:
        return route
    tail = path.removeprefix("/v1")
    if tail.startswith(_JOBS) and tail.endswith(_EVENTS):
        job = tail[len(_JOBS) : -len(_EVENTS)]
        if job and "/" not in job:
            return msgspec.structs.replace(EVENTS, job=job)
    return None

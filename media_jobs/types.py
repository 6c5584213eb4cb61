"""The values of image jobs: what is asked, what was made, how a job stands.

Pixels, counts and seconds, unless a name says otherwise. Rows are `media_jobs.models`. Where a
request is stored it is JSON (msgspec writes pictures as base64): `extras` is raw JSON, and no other
encoding takes that.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from ccapi.core.usage import Usage

Operation = Literal["text-to-image", "image-to-image", "inpainting", "remix"]
ResponseFormat = Literal["url", "b64_json"]


class State(StrEnum):
    """How a job stands, as customers see it. The last three are ends."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A checked input picture, in memory: its bytes are of the media type that they say."""

    data: bytes
    media_type: str  # image/png, image/jpeg, image/webp or image/gif
    width: int
    height: int


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A picture as a customer names it, not looked at yet: by URL, or by its base64 text."""

    at: str  # its place in the request: contents[1].image
    url: str = ""
    data: str = ""
    media_type: str = ""  # as the customer says

    @property
    def param(self) -> str:
        """The field at fault where the picture is refused."""
        return f"{self.at}.url" if self.url else f"{self.at}.data"


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer asks to be made, of any provider. None and "": not said.

    `width` and `height` come together. `extras` are further parameters of OpenAI's image endpoint,
    by name, as JSON; a driver passes those that its provider knows and refuses or reports the rest.
    """

    models: tuple[str, ...]  # as asked, in failover order
    prompt: str
    operation: Operation = "text-to-image"
    images: tuple[Picture, ...] = ()
    mask: Picture | None = None
    count: int = 1
    width: int | None = None
    height: int | None = None
    aspect_ratio: str = ""  # "16:9"
    quality: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str = ""
    strength: float | None = None  # 0 keeps the input picture, 1 ignores it
    output_format: str = ""  # png, jpeg or webp
    response_format: ResponseFormat = "url"
    user: str = ""
    extras: dict[str, msgspec.Raw] = {}


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One picture that a provider has delivered, with its bytes."""

    data: bytes
    media_type: str
    revised_prompt: str = ""
    seed: int | None = None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's whole answer. It may hold fewer pictures than were asked for.

    `usage.images` is the number of pictures; tokens where the provider told them.
    """

    images: tuple[Made, ...]
    usage: Usage
    request_id: str = ""  # the provider's


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """An asynchronous provider has taken the work: what asking again needs. Stored on the job."""

    upstream_id: str
    count: int = 1  # pictures that were asked for; no more are delivered
    output_format: str = ""  # what they are made into, where the provider does not do it
    poll_url: str = ""
    cancel_url: str = ""
    estimated_s: float | None = None


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """It is still at work."""

    progress: float | None = None  # 0 to 1
    estimated_s: float | None = None

"""What OpenAI's two protocols spell alike: media by URL, counts that hold others, our costs."""

from gateway.ir.request import Media
from gateway.ir.response import Costs

AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def media(url: str) -> Media:
    """A `data:` URL as its bytes and type; any other URL as it is."""
    head, mark, data = url.partition(";base64,")
    if mark and head.startswith("data:"):
        return Media(data=data, media_type=head.removeprefix("data:"))
    return Media(url=url)


def take(whole: int, part: int) -> tuple[int, int]:
    """What is left of a count without its part, and the part, which never exceeds its whole."""
    part = min(whole, part)
    return whole - part, part


def cost_fields(costs: Costs) -> dict[str, bytes]:
    """What we add to `usage`, as JSON number literals."""
    return {
        "input_cost": costs.input.encode(),
        "output_cost": costs.output.encode(),
        "cost": costs.total.encode(),
    }

"""How many tokens a request will use, as far as that can be told before it runs.

An estimate for rate limits, corrected when the request has ended: too low lets too much in at once,
too high keeps customers waiting. Bounds, which money needs, are `routing.plan`'s.
"""

from gateway.ir.request import Audio, File, Image, Media, Part, Request, Text, ToolResult
from gateway.routing.plan import Candidate

BYTES_PER_TOKEN = 4  # English text and the JSON around it
IMAGE_TOKENS = 1_500  # a photo at the detail that vendors choose by themselves
FILE_TOKENS = 5_000  # some pages
# Nearly every answer is shorter, where the client does not say how long it may be.
OUTPUT_TOKENS = 4_096


def tokens_expected(request: Request, candidate: Candidate, *, body_bytes: int) -> int:
    """Input and output together, over all choices."""
    text_bytes, tokens = body_bytes, 0
    for message in request.messages:
        for part in message.parts:
            if not isinstance(part, Text):
                taken, worth = _media(part)
                text_bytes -= taken
                tokens += worth
    tokens += max(0, text_bytes) // BYTES_PER_TOKEN
    window = candidate.model.context_length
    if window:
        tokens = min(tokens, window)
    if request.max_tokens is not None:
        return tokens + tokens_stated(request)
    longest = candidate.model.max_output_tokens or OUTPUT_TOKENS
    return tokens + min(longest, OUTPUT_TOKENS) * max(1, request.n)


def tokens_stated(request: Request) -> int:
    """The output that the client itself asks for; 0 where it leaves that to the model."""
    return (request.max_tokens or 0) * max(1, request.n)


def _media(part: Part) -> tuple[int, int]:
    """Bytes of the body that are no text, and the tokens that they are worth."""
    match part:
        case Image(source=source):
            return _encoded(source), IMAGE_TOKENS
        case Audio(source=source):
            return _encoded(source), FILE_TOKENS
        case File(source=source, text=text) if not text:
            return _encoded(source), FILE_TOKENS
        case ToolResult(parts=parts):
            inner = [_media(each) for each in parts]
            return sum(taken for taken, _ in inner), sum(worth for _, worth in inner)
    return 0, 0


def _encoded(source: Media) -> int:
    """Base64, here or in a `data:` URL; another URL is short."""
    return len(source.data) + len(source.url)

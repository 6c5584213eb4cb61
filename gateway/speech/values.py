"""What is asked, and how it fits one candidate, on their way through the walk's own types.

The text is a message, too, so that it is counted and bounded like any other prompt; a maximum of no
tokens says that the client's own limit of output does not matter here.
"""

from typing import Literal

import msgspec

from ccapi.core.errors import InvalidParameter
from gateway.ir.request import Message, Raw, Request, Text
from gateway.speech.formats import family

Delivery = Literal["bytes", "events", "url", "b64_json"]

CHARACTERS_MAX = 40_000  # of any model that we know: ElevenLabs' Flash v2.5
_FIELD = "speech"


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate's own words for what is asked, or why it has none.

    `format` is what the provider is asked for, in its own word, and `made` what it then sends, in
    ours. `dropped` are fields that it takes no notice of.
    """

    voice: str = ""
    format: str = ""
    made: str = ""
    speed: float | None = None
    dropped: tuple[str, ...] = ()
    refusal: str = ""
    param: str = ""
    by_token: bool = False  # its price is by tokens, so its usage is asked for


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer asks to be said, of any provider. None and "": not said."""

    text: str
    voice: str  # a name or an id
    by_id: bool = False  # told to be an id
    format: str = "mp3"
    delivery: Delivery = "bytes"
    instructions: str = ""
    speed: float | None = None
    settings: dict[str, Raw] = {}  # ElevenLabs' voice_settings, as they came
    fit: Fit = Fit()

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be told before all of it is there."""
        return self.delivery in ("url", "b64_json")

    @property
    def is_converted(self) -> bool:
        made, asked = self.fit.made, self.format
        if made == asked:
            return False
        # An Ogg file is an Ogg file, whichever codec is in it; the other way round it is not.
        return not (asked == "ogg" and family(made) == "ogg")


_decode = msgspec.json.Decoder(Spoken).decode
_encode = msgspec.json.Encoder().encode


def request_for(
    model: str, spoken: Spoken, *, models: tuple[str, ...] = (), user: str = ""
) -> Request:
    """Raises: InvalidParameter where there is nothing, or too much, to say."""
    count = len(spoken.text)
    if not spoken.text.strip() or count > CHARACTERS_MAX:
        raise InvalidParameter(
            f"'input' must have 1 to {CHARACTERS_MAX} characters, not blanks alone;"
            f" it has {count}.",
            param="input",
        )
    return Request(
        model=model,
        models=models,
        messages=(Message(role="user", parts=(Text(text=spoken.text),)),),
        stream=not spoken.is_whole,
        max_tokens=0,
        user=user,
        extras=_extras(spoken),
    )


def fitted(request: Request, spoken: Spoken, fit: Fit) -> Request:
    """The same request, as one candidate is asked."""
    told = msgspec.structs.replace(spoken, fit=fit)
    return msgspec.structs.replace(request, extras=_extras(told))


def spoken_of(request: Request) -> Spoken:
    return _decode(request.extras[_FIELD][_FIELD])


def _extras(spoken: Spoken) -> dict[str, dict[str, Raw]]:
    return {_FIELD: {_FIELD: Raw(_encode(spoken))}}

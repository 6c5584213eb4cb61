"""What a codec of a provider that speaks is, beside a codec: it says how a request fits it.

And how a provider's answer is read: as audio, or as OpenAI's events that carry it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from catalog.types import Offer
from ccapi.core.errors import ContextLengthExceeded, UnsupportedParameter
from gateway.protocols.shared.one_sided import OneSided
from gateway.speech.values import Fit, Spoken
from gateway.speech.voices import Voice

JSON_OR_SOUND = "audio/*, application/octet-stream;q=0.9, application/json;q=0.5"


class Speaker(OneSided, ABC):
    """An upstream side. `lists_voices`: whether the account's own can be asked for."""

    lists_voices: ClassVar[bool] = False

    @abstractmethod
    def fit(self, spoken: Spoken, offer: Offer, own: Sequence[Voice], *, by_token: bool) -> Fit:
        """How this offer would be asked. `own` are the account's voices, as far as known.

        Raises: UnknownVoice, UnsupportedParameter, ContextLengthExceeded, InvalidParameter.
        """

    def characters(self, headers: Mapping[str, str]) -> int | None:
        """How many characters the provider says that it has counted."""
        del headers
        return None


def check_length(spoken: Spoken, limit: int) -> None:
    """Raises: ContextLengthExceeded."""
    if len(spoken.text) > limit:
        raise ContextLengthExceeded(
            f"'input' has {len(spoken.text)} characters; this model takes {limit}.", param="input"
        )


def check_speed(speed: float | None, lowest: float, highest: float) -> None:
    """Raises: UnsupportedParameter."""
    if speed is not None and not lowest <= speed <= highest:
        raise UnsupportedParameter(
            f"'speed' may be {lowest} to {highest} with this model, not {speed}.", param="speed"
        )


def no_format(asked: str, possible: Sequence[str]) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"This model's provider cannot make {asked!r}, and nothing here can make it of what it"
        f" does. Possible: {', '.join(possible)}.",
        param="output_format",
        details={"formats": list(possible)},
    )

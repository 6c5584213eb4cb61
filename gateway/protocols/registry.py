"""The protocols we speak.

One line each. The test matrix pairs every one with every other by itself.
"""

from gateway.protocols.anthropic import CODEC as ANTHROPIC
from gateway.protocols.base import Codec
from gateway.protocols.openai_chat import CODEC as OPENAI_CHAT

CODECS: dict[str, Codec] = {codec.name: codec for codec in (OPENAI_CHAT, ANTHROPIC)}

"""The codecs of speech: the one that clients speak, and those of providers by their protocol."""

from gateway.protocols.base import Codec
from gateway.speech import client, elevenlabs, openai

CLIENTS: dict[str, Codec] = {client.CODEC.name: client.CODEC}
UPSTREAMS: dict[str, Codec] = {"openai": openai.CODEC, "elevenlabs": elevenlabs.CODEC}

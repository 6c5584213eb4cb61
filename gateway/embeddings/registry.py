"""The codecs of vectors: those that clients speak, and those of providers by their protocol."""

from gateway.embeddings import gemini, ollama, openai
from gateway.protocols.base import Codec

CLIENTS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        openai.CODEC,
        gemini.CLIENT,
        gemini.BATCH_CLIENT,
        ollama.CLIENT,
        ollama.OLDER_CLIENT,
    )
}
UPSTREAMS: dict[str, Codec] = {
    "openai": openai.CODEC,
    "gemini": gemini.UPSTREAM,
    "ollama": ollama.UPSTREAM,
}

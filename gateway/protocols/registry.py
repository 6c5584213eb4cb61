"""The protocols we speak.

One line each. The test matrix pairs every one with every other by itself.
"""

from gateway.protocols.anthropic import CODEC as ANTHROPIC
from gateway.protocols.base import Codec
from gateway.protocols.gemini import CODEC as GEMINI
from gateway.protocols.ollama import CODEC as OLLAMA
from gateway.protocols.ollama import GENERATE as OLLAMA_GENERATE
from gateway.protocols.openai_chat import CODEC as OPENAI_CHAT
from gateway.protocols.openai_responses import CODEC as OPENAI_RESPONSES

CODECS: dict[str, Codec] = {
    codec.name: codec for codec in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, OLLAMA, GEMINI)
}
# Other forms in which clients speak one of them.
FORMS: dict[str, Codec] = {codec.name: codec for codec in (OLLAMA_GENERATE,)}

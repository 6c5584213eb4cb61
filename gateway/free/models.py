"""One model as each protocol's clients read it.

CCProxy's shapes, which are supersets of the vendors' (section 7 of its description), without its
defects: times, digests and sizes that changed with every call stay the same. Plain functions.
"""

import hashlib
import re
from datetime import UTC, datetime

from catalog.types import Model
from gateway.free.names import Named

Json = dict[str, object]

_FAMILY = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z][A-Za-z0-9]*)*")
_TUNED = re.compile(r"-(?:instruct|chat|base)$")
_QUANTIZATION = re.compile(r"[-_:](q[2-8](?:_[0-9ksml]+)*|f16|f32|bf16|fp8|fp16)(?![a-z0-9])", re.I)


def when(model: Model) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def openai(named: Named) -> Json:
    """An alias in a list that OpenAI's and Claude's clients both read."""
    model = named.model
    return {
        "id": named.name,
        "object": "model",
        "type": "model",
        "created": model.created,
        "created_at": when(model),
        "display_name": named.name,
        "owned_by": model.provider,
        "max_tokens": model.max_output_tokens,
    }


def claude(named: Named, display_name: str) -> Json:
    """Anthropic's `ModelInfo`."""
    model = named.model
    return {
        "type": "model",
        "id": named.name,
        "display_name": display_name,
        "created_at": when(model),
        "lifecycle": "active",
        "max_input_tokens": model.context_length or None,
        "max_tokens": model.max_output_tokens or None,
    }


def gemini(named: Named) -> Json:
    """Google's `Model`; the name under which it is called is behind `models/`."""
    model = named.model
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    told: Json = {
        "name": f"models/{named.name}",
        "version": "1.0.0",
        "displayName": named.name,
        "description": f"{model.display_name}, of {model.provider}.",
        "inputTokenLimit": model.context_length,
        "outputTokenLimit": model.max_output_tokens,
    }
    if model.type == "embedding":
        return {**told, "supportedGenerationMethods": ["embedContent", "batchEmbedContents"]}
    return {
        **told,
        "supportedGenerationMethods": methods,
        "temperature": 1.0,
        "maxTemperature": 2.0,
        "topP": 1.0,
        "topK": 1,
        "thinking": "reasoning" in model.capabilities,
    }


def ollama(named: Named) -> Json:
    """An entry of `GET /api/tags`. Nothing of it is on this machine: its size is 0."""
    model = named.model
    return {
        "name": named.name,
        "model": named.name,
        "modified_at": when(model),
        "size": 0,
        "digest": hashlib.sha256(f"{named.name}\0{model.id}".encode()).hexdigest(),
        "details": ollama_details(named),
        "max_tokens": model.max_output_tokens,
    }


def ollama_details(named: Named) -> Json:
    family = ollama_family(named)
    found = _QUANTIZATION.search(named.name)
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": list(dict.fromkeys((family, named.model.provider))),
        "parameter_size": "",
        "quantization_level": found[1].upper() if found else "N/A",
    }


def ollama_family(named: Named) -> str:
    """The words with which a name begins, its provider aside: `gpt`, `claude-sonnet`."""
    bare = named.name.rpartition("/")[2]
    found = _FAMILY.match(bare)
    return _TUNED.sub("", found[0]).lower() if found else bare


def ollama_shown(named: Named) -> Json:
    """The answer of `POST /api/show`: what it can do is what clients look for."""
    model, family = named.model, ollama_family(named)
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": ollama_details(named),
        "model_info": {
            "general.architecture": family,
            "general.basename": named.name,
            f"{family}.context_length": model.context_length,
        },
        "capabilities": _capabilities(model),
        "modified_at": when(model),
    }


def _capabilities(model: Model) -> list[str]:
    if model.type == "embedding":
        return ["embedding"]
    words = {"function_calling": "tools", "vision": "vision", "reasoning": "thinking"}
    return ["completion", *(word for flag, word in words.items() if flag in model.capabilities)]

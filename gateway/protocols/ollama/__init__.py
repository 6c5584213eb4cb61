"""Ollama's native API: `/api/chat`, and `/api/generate` for clients (`generate`).

Streams are lines of JSON; a request streams unless it says `"stream": false`. The protocol has no
ids for answers, one choice an answer, no `tool_choice`, and arguments of tools as objects. Where
both sides speak it, the bytes pass but for `model` in the request (and `options.num_predict` where
the wallet imposes a cap), and the line with `"done": true`, which gains `cost`, `input_cost` and
`output_cost`.

A signature of thoughts has no place in this protocol: it stands beside them as
`message.thinking_signature` (`ccapi.<protocol>.<signature>`), which clients that keep the whole
message send back; the official SDKs do not, and then the thoughts come back unsigned.

Source: https://docs.ollama.com/api and the types of the official Python SDK (0.6).
"""

from gateway.protocols.ollama.codec import CODEC, GENERATE

__all__ = ["CODEC", "GENERATE"]

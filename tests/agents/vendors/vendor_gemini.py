"""Gemini's generateContent."""

import json
from collections.abc import Iterator
from typing import ClassVar

from tests.agents.vendors.vendor import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Loose,
    Offered,
    Said,
    Seen,
    sse,
)


class Gemini:
    name: ClassVar = "gemini"
    base: ClassVar = "/v1beta"
    path: ClassVar = "/models/"
    media_type: ClassVar = "text/event-stream"
    has_signatures: ClassVar = True

    def read(self, body: Loose) -> Seen:
        parts = [part for content in body["contents"] for part in content["parts"]]
        given = [
            part["functionResponse"]["response"] for part in parts if "functionResponse" in part
        ]
        return Seen(
            tools=[
                Offered(declared["name"])
                for tool in body.get("tools", [])
                for declared in tool.get("functionDeclarations", [])
            ],
            results=[next(iter(each.values())) for each in given],
            texts=[
                part["text"]
                for part in [*body.get("systemInstruction", {}).get("parts", []), *parts]
                if "text" in part
            ],
            signatures=[part["thoughtSignature"] for part in parts if "thoughtSignature" in part],
        )

    def _parts(self, said: Said) -> list[dict[str, Loose]]:
        parts: list[dict[str, Loose]] = []
        if said.thought:
            parts.append({"text": said.thought, "thought": True})
        if said.text:
            parts.append({"text": said.text})
        for position, call in enumerate(said.calls):
            # As its servers do: no id, and the signature on the first of parallel calls alone.
            signed = {"thoughtSignature": said.signature} if said.signature and not position else {}
            given = {"name": call.name, "args": json.loads(call.arguments)}
            parts.append({"functionCall": given, **signed})
        return parts

    def stream(self, said: Said) -> Iterator[bytes]:
        for part in self._parts(said):
            yield sse(self._answer(said, [part]))
        yield sse(self._answer(said, [{"text": ""}], ended=True))

    def whole(self, said: Said) -> bytes:
        return json.dumps(self._answer(said, self._parts(said), ended=True)).encode()

    def _answer(
        self, said: Said, parts: list[dict[str, Loose]], *, ended: bool = False
    ) -> dict[str, Loose]:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage = {"promptTokenCount": INPUT_TOKENS, "totalTokenCount": INPUT_TOKENS}
        if ended:
            candidate["finishReason"] = "STOP"
            usage["candidatesTokenCount"] = OUTPUT_TOKENS
            usage["totalTokenCount"] += OUTPUT_TOKENS
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": said.model,
            "responseId": f"response-{said.number}",
        }

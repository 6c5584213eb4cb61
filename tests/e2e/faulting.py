"""Running the fault table: a provider for each case, what its customers saw, who was blamed.

Every case has a provider of its own, so that all of them run at once and none meets what another
has left with the breakers.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import httpx2
import msgspec
import redis

from gateway.routing.sharing import STATE_KEY
from gateway.sandbox.dialect import Dialect
from tests.e2e import prepare
from tests.fakes import transcripts
from tests.fakes.steps import Script, reply, stream
from tests.fakes.transcripts import ANTHROPIC, OPENAI
from tests.fakes.upstream import Upstream

Protocol = Literal["openai", "anthropic"]
Form = Literal["whole", "stream"]

DIALECTS: dict[Protocol, Dialect] = {"openai": OPENAI, "anthropic": ANTHROPIC}
OTHER: dict[Protocol, Protocol] = {"openai": "anthropic", "anthropic": "openai"}
PATHS: dict[Protocol, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
# So many failures open a breaker here: the first of two is repeated where that is safe.
FAILURES = 3
TOLD_S = 0.7
TIMEOUTS = {
    "connect": 1,
    "first_byte": 1.5,
    "first_byte_with_alternative": 1,
    "idle": 1,
    "total": 3,
}
FALLBACK_COST = "0.00002"  # 10 tokens in for a dollar a million, 5 out for two
AS_IT_CAME = "(as it came)"


class Case(NamedTuple):
    """One fault of one provider, met by a client of the same protocol."""

    fault: str
    protocol: Protocol
    form: Form
    script: Script = ()
    url: str = ""  # where there is no upstream to send a script to

    @property
    def provider(self) -> str:
        """Its name in the catalog."""
        letters = "".join(letter if letter.isalnum() else "-" for letter in self.fault.lower())
        return f"{letters}-{self.protocol}-{self.form}"[:64].strip("-")


class Seen(NamedTuple):
    """One answer as its customer saw it."""

    status: int
    code: str  # AS_IT_CAME: the provider's own error, in its words
    ending: Literal["whole", "complete", "error event", "cut"]
    attempts: str  # statuses, without the models' names
    text: str
    retry_after: str
    generation: str


class Story(NamedTuple):
    """What became of one case."""

    alone: Seen
    followed: Seen  # with a candidate behind it
    blamed: str  # what of its provider was out of service in the end, and why
    bills: tuple[str, str]  # of the two: the outcome and the cost


class Stage(msgspec.Struct, frozen=True):
    """Everything that a case needs. `client` is one for all: making one takes 20 ms."""

    client: httpx2.Client
    valkey: redis.Redis | None  # where the breakers are looked at

    def run(self, case: Case) -> Story:
        """Alone, with a candidate behind it, and once more, so that its breaker has enough."""
        model, fallback = f"{case.provider}/m", f"calm-{OTHER[case.protocol]}/{case.form}"
        alone = self.ask(case.protocol, case.form, model)
        followed = self.ask(case.protocol, case.form, model, fallback)
        self.ask(case.protocol, case.form, model, fallback)
        bills = self.bill(alone), self.bill(followed)
        return Story(alone, followed, self.blamed(case.provider), bills)

    def ask(self, protocol: Protocol, form: Form, *models: str) -> Seen:
        body: dict[str, object] = {
            "model": models[0],
            "models": models[1:],
            "messages": [{"role": "user", "content": "Count to four."}],
            "max_tokens": 50,
            "stream": form == "stream",
        }
        answer, text = _read(self.client, PATHS[protocol], body)
        told = answer.headers
        assert "x-ccapi-attempts" in told, (models, answer.status_code, text[:500])
        return Seen(
            status=answer.status_code,
            code=_code(protocol, text),
            ending=_ending(protocol, text, whole="json" in told["content-type"]),
            attempts=";".join(
                each.rpartition("=")[2] for each in told["x-ccapi-attempts"].split(";")
            ),
            text=_text(protocol, text),
            retry_after=told.get("retry-after", ""),
            generation=told["x-ccapi-generation-id"],
        )

    def blamed(self, provider: str) -> str:
        """`part cause` of what is out of service of this provider, as all processes know it.

        They tell each other after the answer is out, so this is waited for, though not for long.
        """
        deadline = time.monotonic() + TOLD_S
        while not (found := self._blamed(provider)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return ", ".join(sorted(found))

    def _blamed(self, provider: str) -> list[str]:
        found = []
        assert self.valkey is not None
        for scope, state in self.valkey.hgetall(STATE_KEY).items():
            kind, _, told = _decoded(state).split(" ", 2)
            if kind == "o" and (out := json.loads(told))["place"]["provider"] == provider:
                rest = " rest" if out["is_rest"] else ""
                found.append(f"{_decoded(scope).partition(':')[0]} {out['cause']}{rest}")
        return found

    def bill(self, seen: Seen) -> str:
        """The outcome and the cost."""
        receipt = self.receipt(seen)
        return f"{receipt['outcome']} {receipt['cost']}"

    def receipt(self, seen: Seen) -> dict[str, Any]:
        # The first count of tokens starts a process, which may take longer than a receipt waits.
        for _ in range(20):
            answer = self.client.get(f"/v1/generations/{seen.generation}")
            if answer.status_code == 200:
                receipt: dict[str, Any] = answer.json()
                return receipt
        raise AssertionError(answer.text)


def _decoded(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def document(cases: list[Case], url: str) -> dict[str, object]:
    """The catalog: a provider and a model for each case, and two providers that answer well."""
    calm: list[Protocol] = ["openai", "anthropic"]
    return {
        "providers": [
            *(
                prepare.provider(
                    case.provider, case.protocol, f"{case.url or url}/v1", timeouts=TIMEOUTS
                )
                for case in cases
            ),
            *(prepare.provider(f"calm-{name}", name, f"{url}/v1") for name in calm),
        ],
        "models": [
            *(prepare.model(f"{case.provider}/m") for case in cases),
            *(
                prepare.model(f"calm-{name}/{form}")
                for name in calm
                for form in ("whole", "stream")
            ),
        ],
    }


def script(upstream: Upstream, cases: list[Case]) -> None:
    """Tell the upstream what to do."""
    said = transcripts.answer("from the second")
    for case in cases:
        upstream.on(f"{case.provider}-m", case.script)
    for name, dialect in DIALECTS.items():
        upstream.on(f"calm-{name}-whole", reply(body=transcripts.body(dialect, said)))
        upstream.on(f"calm-{name}-stream", stream(transcripts.frames(dialect, said)))


def _read(client: httpx2.Client, path: str, body: dict[str, object]) -> tuple[httpx2.Response, str]:
    """The answer, and as much of its body as came."""
    pieces: list[bytes] = []
    with (
        client.stream("POST", path, json=body) as answer,
        contextlib.suppress(httpx2.TransportError),
    ):
        pieces.extend(answer.iter_raw())
    return answer, b"".join(pieces).decode()


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def _code(protocol: Protocol, text: str) -> str:
    """The code of an error, whole or as an event; "" where there is none."""
    told = [json.loads(text)] if text.startswith("{") else list(_events(text))
    errors = [each["error"] for each in told if each.get("error")]
    if not errors:
        return ""
    last = errors[-1]
    if "details" not in last:
        return AS_IT_CAME
    code = last.get("code") if protocol == "openai" else last.get("details", {}).get("error_code")
    return code or ""


def _ending(
    protocol: Protocol, text: str, *, whole: bool
) -> Literal["whole", "complete", "error event", "cut"]:
    if whole:
        return "whole"
    if ("data: [DONE]" if protocol == "openai" else '"message_stop"') in text:
        return "complete"
    return "error event" if _code(protocol, text) else "cut"


def _text(protocol: Protocol, text: str) -> str:
    """What the model said, as far as it came."""
    if text.startswith("{"):
        body = json.loads(text)
        if protocol == "openai":
            said = [each["message"]["content"] for each in body.get("choices", ())]
        else:
            said = [each.get("text") for each in body.get("content", ())]
    elif protocol == "openai":
        said = [
            choice["delta"].get("content")
            for event in _events(text)
            for choice in event.get("choices", ())
        ]
    else:
        said = [event.get("delta", {}).get("text") for event in _events(text)]
    return "".join(filter(None, said))

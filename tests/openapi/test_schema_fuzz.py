"""Schemathesis over the whole document, against the running product.

Half of the cases are as the document allows, half break it. Whatever comes in: no 5xx (but
EMPTY), and an answer that the document has, with its type, headers and schema. What is refused is
so in the client's protocol.

`CCAPI_FUZZ_CASES=20000 pytest tests/openapi/test_schema_fuzz.py` is the long run; a failure prints
a `curl` line.
"""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ccapi.openapi import document
from tests.e2e.stack import Account, Web
from tests.openapi import described

CASES = int(os.environ.get("CCAPI_FUZZ_CASES", "300"))
# A status of 5xx is what these models are for, or their time is; the rest answer, or refuse.
CHAT = ("sandbox/echo", "sandbox/priced", "sandbox/reasoning", "sandbox-anthropic/echo", "echo")
MODELS = {  # by the tag of an operation
    "Chat": CHAT,
    "Embeddings": ("sandbox/embedding",),
    "Speech": ("local/hibari-heart", "sandbox/speech"),
    "Images": ("local/abstract-1", "sandbox/image"),
}
# An answer without content is a failed one, and free. The sandbox gives it for a prompt without
# text, and for a stop sequence that comes first: it is the one 5xx that a request can bring about.
EMPTY = "The provider answered without any content."
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
]
ONE_IN_TEN = st.integers(0, 9)
HEAVY = 4  # how many times the cases of a REST operation a chat route gets


DOCUMENT = document.current()
METHODS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {f"{method.upper()} {path}": SCHEMA[path][method] for path, method in METHODS}
TAGS = {label: (each.tags or [""])[0] for label, each in OPERATIONS.items()}
WEIGHTS = {label: HEAVY if tag == "Chat" else 1 for label, tag in TAGS.items()}


def _cases(label: str) -> int:
    return max(2, round(CASES * WEIGHTS[label] / sum(WEIGHTS.values()) / 2))


@pytest.mark.timeout(0 if CASES > 1000 else 120)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_5xx_and_no_answer_that_is_not_in_the_document(
    label: str, mode: GenerationMode, web: Web, customer: Account
) -> None:
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("nothing in it that the document restricts")

    @settings(
        max_examples=_cases(label),
        deadline=None,
        derandomize=CASES <= 1000,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if CASES <= 1000 else [Phase.generate, Phase.shrink],
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def each(case: "Case[Any]", data: st.DataObject) -> None:
        body = case.body
        if isinstance(body, dict) and (models := MODELS.get(TAGS[label])):
            # One in ten names what it likes.
            body |= {"model": data.draw(st.sampled_from(models))} if data.draw(ONE_IN_TEN) else {}
            body.pop("models", None)
        has_key = data.draw(st.integers(0, 19))
        headers = {"authorization": f"Bearer {customer.api_key}"} if has_key else {}

        answer = case.call(base_url=web.url, headers=headers, timeout=30)

        media = answer.headers["content-type"][0].partition(";")[0]
        # What comes in events is described event by event, which Schemathesis does not know.
        whole = [] if media in described.STREAMS else [response_schema_conformance]
        may_fail = [] if EMPTY.encode() in answer.content else [not_a_server_error]
        case.validate_response(answer, checks=[*may_fail, *CHECKS, *whole])
        if not whole:
            described.check_stream(DOCUMENT, operation.path, media, answer.text)

    each()

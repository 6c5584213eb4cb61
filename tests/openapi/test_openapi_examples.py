"""The document's examples, sent to the running product: each is answered as the document says."""

from typing import Any

import pytest

from ccapi.openapi import document, free
from ccapi.openapi.chat import routes
from tests.e2e.stack import Account, Stack
from tests.openapi.described import STREAMS, check, check_stream

DOCUMENT = document.current()
OPERATIONS = [
    (path, method, told)
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
]
EXAMPLES = [
    pytest.param(path, example["value"], told, id=f"{path} {name}")
    for path, _method, told in OPERATIONS
    if path in routes()
    for name, example in told["requestBody"]["content"]["application/json"]["examples"].items()
]


def _filled(path: str, told: dict[str, Any]) -> str:
    for each in told.get("parameters", ()):
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", each["schema"]["examples"][0])
    return path


@pytest.mark.parametrize(("path", "body", "told"), EXAMPLES)
def test_chat_examples_are_answered_as_described(
    path: str, body: object, told: dict[str, Any], documented: Stack, customer: Account
) -> None:
    with documented.http(customer) as client:
        answer = client.post(_filled(path, told), json=body)

    media = answer.headers["content-type"].partition(";")[0]
    assert answer.status_code == 200, answer.text
    assert answer.headers.keys() <= _known_headers(told)
    if media in STREAMS:
        assert check_stream(DOCUMENT, path, media, answer.text) > 1
        assert '"cost"' in answer.text
    elif media in told["responses"]["200"]["content"] and media != "application/json":
        assert answer.content
    else:
        check(DOCUMENT, path, "post", 200, answer.content)


def _known_headers(told: dict[str, Any]) -> set[str]:
    """Those described, and those of HTTP itself."""
    plain = {"date", "content-type", "content-length", "transfer-encoding", "cache-control"}
    return plain | {"x-accel-buffering", "connection"} | set(told["responses"]["200"]["headers"])


def test_a_key_lives_as_the_examples_say(documented: Stack, customer: Account) -> None:
    def example(path: str, method: str) -> object:
        content = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]
        return next(iter(content["examples"].values()))["value"]

    with documented.http(customer) as client:
        made = client.post("/keys", json=example("/keys", "post"))
        key = made.json()["id"]
        changed = client.patch(f"/keys/{key}", json=example("/keys/{id}", "patch"))
        rotated = client.post(f"/keys/{key}/rotate", json=example("/keys/{id}/rotate", "post"))
        revoked = client.delete(f"/keys/{key}")
        gone = client.post(f"/keys/{key}/rotate", json={})

    check(DOCUMENT, "/keys", "post", 201, made.content)
    check(DOCUMENT, "/keys/{id}", "patch", 200, changed.content)
    check(DOCUMENT, "/keys/{id}/rotate", "post", 200, rotated.content)
    check(DOCUMENT, "/keys/{id}", "delete", 200, revoked.content)
    check(DOCUMENT, "/keys/{id}/rotate", "post", gone.status_code, gone.content)
    assert gone.status_code in (400, 401, 403, 404)


def test_what_can_be_read_is_as_described(documented: Stack, customer: Account) -> None:
    with documented.http(customer) as client:
        asked = {"model": "sandbox/priced", "messages": [{"role": "user", "content": "hi"}]}
        chat = client.post("/chat/completions", json=asked)
        receipt = chat.headers["x-ccapi-generation-id"]
        paths = {
            path: path for path, method, _ in OPERATIONS if method == "get" and "{" not in path
        }
        paths |= {
            "/models/{id}": "/models/sandbox/echo",
            "/providers/{name}": "/providers/sandbox",
            "/generations/{id}": f"/generations/{receipt}",
            "/generations": "/generations?limit=5",
            "/usage": "/usage?group_by=day,model",
        }
        answers = {path: client.get(each) for path, each in paths.items()}

    for path, answer in answers.items():
        assert answer.status_code == 200, path
        check(DOCUMENT, path, "get", 200, answer.content)


@pytest.mark.parametrize("path", routes())
def test_errors_come_as_described_in_each_protocol(
    path: str, documented: Stack, customer: Account
) -> None:
    told = DOCUMENT["paths"][path]["post"]
    here = _filled(path, told)

    with documented.http(customer) as client:
        broken = client.post(here, content=b"{")
        wrong = client.get(here)
        nobody = client.post(here, json={"model": "a/b"}, headers={"authorization": "Bearer x"})

    assert (broken.status_code, wrong.status_code, nobody.status_code) == (400, 405, 401)
    for answer in (broken, wrong, nobody):
        check(DOCUMENT, path, "post", answer.status_code, answer.content)
        assert answer.headers["x-request-id"]


def test_the_running_product_gives_this_document(schema: dict[str, Any]) -> None:
    assert schema == DOCUMENT


FREE = [
    pytest.param(path, method, told, id=f"{method} {path}")
    for path, methods in free.paths().items()
    for method, told in methods.items()
]


@pytest.mark.parametrize(("path", "method", "told"), FREE)
def test_free_routes_answer_as_described(
    path: str, method: str, told: dict[str, Any], documented: Stack, customer: Account
) -> None:
    body = None
    if "requestBody" in told:
        body = told["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]

    with documented.http(customer) as client:
        answer = client.request(method, _filled(path, told), json=body)

    assert answer.status_code == 200, answer.text
    assert answer.headers.keys() <= _known_headers(told)
    check(DOCUMENT, path, method, 200, answer.content)

"""CORS in a real browser: a page of another origin calls the API, and what it may read."""

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.e2e.stack import Account, Stack, Web
from tests.fakes import transcripts
from tests.fakes.steps import stream
from tests.fakes.transcripts import OPENAI

# As OpenAI's SDK asks from a page.
ASK = """async ([url, key, body]) => {
    const answer = await fetch(url, body === null
        ? {headers: {"authorization": `Bearer ${key}`}}
        : {method: "POST", body: JSON.stringify(body), headers: {
            "authorization": `Bearer ${key}`, "content-type": "application/json",
            "x-stainless-lang": "js"}});
    const read = {};
    answer.headers.forEach((value, name) => { read[name] = value; });
    return {status: answer.status, headers: read, text: await answer.text()};
}"""


class _Blank(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
        """Tests say enough."""


@contextlib.contextmanager
def blank_pages() -> Iterator[int]:
    """A web server of empty pages; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
        except Error as error:
            pytest.skip(f"no browser on this machine: {error.message.splitlines()[0]}")
        yield browser.new_page()
        browser.close()


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    with blank_pages() as port:
        yield port


@pytest.fixture(scope="module")
def web(shared_stack: Stack, pages: int) -> Web:
    """A web process that lets pages of `localhost` call it, and none of 127.0.0.1."""
    return shared_stack.web(CCAPI_CORS_ORIGINS=f"http://localhost:{pages}")


def fetch(page: Page, url: str, account: Account, body: object = None) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(ASK, [url, account.api_key, body])
    return answer


def test_a_page_of_a_listed_origin_can_chat_and_read_what_it_cost(
    stack: Stack, web: Web, page: Page, pages: int, account: Account
) -> None:
    stack.upstream.on(
        "alpha-one", stream(transcripts.frames(OPENAI, transcripts.answer("one two")))
    )
    page.goto(f"http://localhost:{pages}/")
    body = {"model": "alpha/one", "messages": [{"role": "user", "content": "hi"}], "stream": True}

    answer = fetch(page, f"{web.url}/v1/chat/completions", account, body)

    assert answer["status"] == 200
    assert answer["text"].rstrip().endswith("data: [DONE]")
    assert answer["headers"]["x-request-id"].startswith("req_")
    assert answer["headers"]["x-ccapi-attempts"] == "alpha/one=200"


def test_it_can_read_errors_of_every_part(
    web: Web, page: Page, pages: int, account: Account
) -> None:
    page.goto(f"http://localhost:{pages}/")
    body = {"model": "nobody/has", "messages": [{"role": "user", "content": "hi"}]}

    of_chat = fetch(page, f"{web.url}/v1/chat/completions", account, body)
    of_django = fetch(page, f"{web.url}/generations/gen_0", account)
    of_the_guard = fetch(page, f"{web.url}/models//", account)

    assert [each["status"] for each in (of_chat, of_django, of_the_guard)] == [404, 404, 400]
    for answer in (of_chat, of_django, of_the_guard):
        assert '"message"' in answer["text"]
        assert answer["headers"]["x-request-id"].startswith("req_")


def test_a_page_of_another_origin_can_do_neither(
    web: Web, page: Page, pages: int, account: Account
) -> None:
    page.goto(f"http://127.0.0.1:{pages}/")

    with pytest.raises(Error, match="Failed to fetch"):
        fetch(page, f"{web.url}/models", account)


def test_the_admin_is_for_no_page_but_its_own(
    web: Web, page: Page, pages: int, account: Account
) -> None:
    page.goto(f"http://localhost:{pages}/")

    with pytest.raises(Error, match="Failed to fetch"):
        fetch(page, f"{web.url}/admin/login/", account)

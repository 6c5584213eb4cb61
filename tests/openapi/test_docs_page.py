"""The page for people, in a browser: complete, quiet, and nobody else is asked for anything."""

import re
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from ccapi.openapi import chat, document, errors
from ccapi.openapi.prose import block, inline
from gateway.api import MEDIA_SCENARIOS, SCENARIOS
from tests.e2e.stack import Stack, Web


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
        except Error as error:
            pytest.skip(f"no browser on this machine: {error.message.splitlines()[0]}")
        yield found
        found.close()


@pytest.fixture(params=[1280, 400], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": request.param, "height": 800})
    yield context.new_page()
    context.close()


def test_it_opens_without_a_complaint_and_asks_nobody_else(page: Page, web: Web) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    answer = page.goto(f"{web.url}/docs", wait_until="networkidle")

    assert answer is not None
    assert answer.status == 200
    assert said == []
    assert len(asked) > 3, "the page, its style sheet, script and icon"
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(web.url).netloc}
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]  # type: ignore[index]  # a viewport is set
    assert page.evaluate("getComputedStyle(document.querySelector('pre')).overflowX") == "auto"


def test_its_tabs_show_one_example_at_a_time_and_copy_it(page: Page, web: Web) -> None:
    page.goto(f"{web.url}/docs")
    figures = page.locator("#first figure")

    page.get_by_role("button", name="OpenAI for Python").click()

    assert [each.is_visible() for each in figures.all()] == [False, True, False, False]
    assert page.locator("#first figure button").count() == 4


def test_a_style_or_script_inside_the_page_would_not_run(web: Web, documented: Stack) -> None:
    with documented.http(None) as client:
        answer = client.get("/docs")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|<script>|\son\w+=|https?://(?!127\.0\.0\.1)", answer.text)


def test_it_tells_of_everything_and_under_the_address_it_was_asked_at(
    web: Web, documented: Stack
) -> None:
    with documented.http(None) as client:
        text = client.get("/docs", headers={"host": "api.localhost:81"}).text

    assert "http://api.localhost:81/v1/chat/completions" in text
    for code in errors.codes(errors.kinds()):
        assert f"<code>{code}</code>" in text, code
    media = [f"{each}/{name}" for each, table in MEDIA_SCENARIOS.items() for name in table]
    for name in [f"sandbox/{each}" for each in SCENARIOS] + media:
        assert f"<code>{name}</code>" in text, name
    for path in (*chat.routes(), *document.current()["paths"]):
        assert f"<code>{path}</code>" in text, path
    assert 'href="/schema"' in text
    assert 'href="/admin/"' in text
    for target in set(re.findall(r'href="#([^"]+)"', text)):
        assert f'id="{target}"' in text, target


def test_descriptions_are_escaped() -> None:
    assert inline("<b>`<i>`") == "&lt;b&gt;<code>&lt;i&gt;</code>"
    assert block("One.\n\n- a\n- `b`") == "<p>One.</p><ul><li>a</li><li><code>b</code></li></ul>"

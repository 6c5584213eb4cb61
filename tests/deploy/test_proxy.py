"""nginx with our configuration in front of two web processes, over TLS."""

import signal
import ssl
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.deploy.load import ASKED, Load
from tests.deploy.shape import HOST, Account, Proxy, Shape, proxied

CHAT = "/v1/chat/completions"


@pytest.fixture
def proxy(nginx: None, shape: Shape) -> Iterator[Proxy]:
    with proxied(shape.ports) as proxy:
        yield proxy


def test_a_stream_arrives_as_it_is_made(proxy: Proxy, customer: Account) -> None:
    body = {"model": "sandbox/stall:2", "stream": True, "messages": ASKED}
    began, arrived = time.monotonic(), []

    with proxy.client(customer) as client, client.stream("POST", CHAT, json=body) as answer:
        for line in answer.iter_lines():
            if line:
                arrived.append((time.monotonic() - began, line))

    assert answer.status_code == 200
    assert arrived[0][0] < 1.5  # while the provider still has its two seconds to be silent
    assert arrived[-1][0] > 1.9
    assert arrived[-1][1] == "data: [DONE]"


def test_what_a_client_says_about_itself_is_not_passed_on(proxy: Proxy, customer: Account) -> None:
    lies = {"x-forwarded-proto": "http", "x-forwarded-for": "10.9.8.7", "forwarded": "proto=http"}

    with proxy.client(customer) as client:
        page = client.get("/admin/login/", headers=lies)
        foreign = client.get("/models", headers={"host": "example.net"})
        assets = client.get("/static/admin/css/base.css")

    assert page.status_code == 200  # and not sent to https, where it is already
    assert page.headers["strict-transport-security"].startswith("max-age=31536000")
    assert foreign.status_code == 400
    assert assets.headers["content-type"].startswith("text/css")


def test_plain_http_is_sent_to_tls(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.plain_port}/v1/models?limit=1"

    answer = httpx2.get(url, headers={"host": HOST})

    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{HOST}/v1/models?limit=1"


def test_web_processes_are_replaced_one_by_one_without_a_failed_request(
    proxy: Proxy, shape: Shape, customer: Account
) -> None:
    trust = ssl.create_default_context(cafile=proxy.certificate)

    with Load([f"https://127.0.0.1:{proxy.tls_port}"], customer, verify=trust) as load:
        for number in (0, 1):
            process = shape.tell(f"web {number}", signal.SIGTERM)
            assert process.wait(30) == 0
            shape.start_web(number)
            time.sleep(1.2)  # nginx asks again whom it found away
            load.more(20)

    assert load.told() == {(200, ""): len(load.asked)}
    assert all(each.complete for each in load.asked)

"""The front page: what it names is what there is."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve

from ccapi.openapi.parts import load
from gateway.api import find, find_free
from media_jobs.routes import find as find_pictures

ROUTES = [line for each in load("index")["protocols"] for line in each["routes"]]


@pytest.mark.parametrize("line", ROUTES)
def test_every_route_that_the_page_names_is_one(line: str) -> None:
    method, path = line.partition(" — ")[0].split(" ")
    path = "/compat" + path.format(model="a/b")  # at the root some are REST framework's

    billed, free = find(path), find_free(path)

    if billed is not None:
        assert method == "POST"
    else:
        assert free is not None
        assert free.name != "unknown"
        assert method in free.methods


@pytest.mark.parametrize("line", load("index")["pictures"])
def test_every_route_of_pictures_that_the_page_names_is_one(line: str) -> None:
    method, path = line.partition(" — ")[0].split(" ")
    path = path.format(job="job_x")

    if (route := find_pictures(path)) is not None:
        assert method == route.method
    else:
        view: Any = resolve(path).func
        assert hasattr(view.view_class, method.lower())


def test_the_page_needs_no_login_and_runs_no_script_of_its_own() -> None:
    answer = Client().get("/", HTTP_HOST="localhost")
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.search(r"<script(?![^>]*\ssrc=)", page) is None
    assert "<style" not in page
    assert " style=" not in page
    assert "http://localhost/v1" in page
    assert "ORIGIN" not in page
    for link in ("/docs", "/schema"):
        assert f'href="{link}"' in page

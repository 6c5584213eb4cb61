"""A data folder on which `serve` has run: the next start there takes half the time."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devserver import product


@pytest.fixture(scope="session")
def data() -> Iterator[Path]:
    """Where a first `serve` has made its databases, and ended by SIGTERM."""
    with product.data_folder() as folder:
        serve = ("serve", "--json", "--no-local-models", "--port", "0")
        with product.running(*serve, data=folder) as command:
            command.ready()
            command.end(signal.SIGTERM)
        yield folder

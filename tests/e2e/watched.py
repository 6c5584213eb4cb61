"""A product whose metrics, logs and traces are looked at."""

import json
import time
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from ccapi.devserver.processes import free_port
from tests.e2e.stack import Stack, Web
from tests.fakes.collector import Collector

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Watched:
    """A product of its own whose metrics, logs and traces are looked at."""

    def __init__(self, stack: Stack, collector: Collector, folder: Path) -> None:
        self.stack = stack
        self.collector = collector
        self.port = free_port()
        self._folder = folder
        self._logs: list[Path] = []

    def web(self) -> Web:
        path = self._folder / f"{len(self._logs)}.log"
        self._logs.append(path)
        with path.open("wb") as stderr:
            return self.stack.web(
                stderr=stderr,
                CCAPI_LOG_LEVEL="info",
                CCAPI_LOG_FORMAT="json",
                CCAPI_METRICS_PORT=str(self.port),
                CCAPI_METRICS_DIR=str(self._folder / "metrics"),
                CCAPI_OTLP_ENDPOINT=self.collector.url,
                CCAPI_TRACE_UPSTREAM="1",
                CCAPI_ALERT_WEBHOOK_URL=f"{self.collector.url}/alerts",
                OTEL_BSP_SCHEDULE_DELAY="100",
            )

    def log_text(self) -> str:
        return "".join(path.read_text() for path in self._logs)

    def lines(self, **wanted: object) -> list[dict[str, Any]]:
        """The log's lines with these fields."""
        lines = [json.loads(line) for line in self.log_text().splitlines()]
        return [line for line in lines if wanted.items() <= line.items()]

    def scrape_text(self) -> str:
        answer = httpx2.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5)
        assert answer.status_code == 200
        return answer.text

    def scrape(self) -> Samples:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.scrape_text())
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return sum(
            value
            for (found, pairs), value in self.scrape().items()
            if found == name and labels.items() <= dict(pairs).items()
        )

    def wait_for(self, name: str, value: float, **labels: str) -> None:
        """Until a metric has this value: gauges are looked at once a second."""
        deadline = time.monotonic() + 10
        while (found := self.total(name, **labels)) != value:
            assert time.monotonic() < deadline, f"{name} is {found}, not {value}"
            time.sleep(0.05)

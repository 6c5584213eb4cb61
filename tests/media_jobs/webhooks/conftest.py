"""Receivers of webhooks, and a database whose commits another process sees."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from accounts.api import create_organization, organization_pk
from tests.fakes.receiver import Answer, Receiver

MakeReceiver = Callable[..., Receiver]


@pytest.fixture
def receiver_of(settings: Settings) -> Iterator[MakeReceiver]:
    """Makes receivers that the operator's setting lets through."""
    made: list[Receiver] = []

    def make(*script: Answer) -> Receiver:
        receiver = Receiver(*script)
        made.append(receiver)
        settings.CCAPI_EGRESS_ALLOW = [each.host for each in made]
        return receiver

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def organization(db: None) -> int:
    return organization_pk(create_organization("Example", "owner@example.com"))

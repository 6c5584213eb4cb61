"""Upstream keys at rest: they open in their row, under their master key, and nowhere else."""

import pytest
from pytest_django import Settings

from catalog import api, secrets, upstream_keys
from catalog.models import Provider, UpstreamKey

PLACE = secrets.place("upstream_key", "1", "ciphertext")


def test_a_secret_opens_where_it_was_stored() -> None:
    assert secrets.decrypt(secrets.encrypt("sk-42", PLACE), PLACE) == "sk-42"


def test_the_same_secret_is_never_encrypted_the_same_way_twice() -> None:
    assert secrets.encrypt("sk-42", PLACE) != secrets.encrypt("sk-42", PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        secrets.place("upstream_key", "2", "ciphertext"),
        secrets.place("upstream_key", "1", "other"),
        secrets.place("provider", "1", "ciphertext"),
        secrets.place("upstream_key", "1", "ciphertext", 7),
    ],
)
def test_a_secret_does_not_open_elsewhere(elsewhere: bytes) -> None:
    with pytest.raises(secrets.SecretError, match="does not belong to this row"):
        secrets.decrypt(secrets.encrypt("sk-42", PLACE), elsewhere)


def test_another_master_key_is_named_by_its_id(settings: Settings) -> None:
    stored = secrets.encrypt("sk-42", PLACE)
    settings.CCAPI_MASTER_KEY = "another-master-key"

    with pytest.raises(secrets.SecretError, match=f"under master key {stored[1:5].hex()}"):
        secrets.decrypt(stored, PLACE)


def test_every_flipped_bit_is_noticed() -> None:
    stored = secrets.encrypt("sk-42", PLACE)

    for index in range(len(stored)):
        damaged = bytearray(stored)
        damaged[index] ^= 1
        with pytest.raises(secrets.SecretError):
            secrets.decrypt(bytes(damaged), PLACE)
    with pytest.raises(secrets.SecretError, match="damaged"):
        secrets.decrypt(stored[:10], PLACE)


def test_a_ciphertext_moved_to_another_row_does_not_open(catalog: None) -> None:
    alpha, beta = (UpstreamKey.objects.get(provider__name=name) for name in ("alpha", "beta"))
    UpstreamKey.objects.filter(pk=beta.pk).update(ciphertext=bytes(alpha.ciphertext))

    assert upstream_keys.stored(Provider.objects.get(name="beta")) is None
    assert upstream_keys.stored(Provider.objects.get(name="alpha")) is not None


def test_a_key_row_handed_to_another_provider_does_not_open(catalog: None) -> None:
    off = Provider.objects.get(name="off")
    row = UpstreamKey.objects.get(provider__name="alpha")
    UpstreamKey.objects.filter(provider=off).delete()
    UpstreamKey.objects.filter(pk=row.pk).update(provider=off)

    assert upstream_keys.stored(off) is None


def test_a_snapshot_and_its_parts_never_show_a_key(catalog: None) -> None:
    snapshot = api.current_sync()

    assert snapshot.providers["alpha"].api_keys == ("key-of-alpha-0123456789",)
    assert "key-of" not in repr(snapshot)
    assert "key-of" not in repr(snapshot.models["alpha/one"])

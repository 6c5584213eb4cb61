"""Artefacts: kept, linked, fetched, and gone in time."""

import os
import re
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.checks import run_checks
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.api import create_organization, organization_pk
from ccapi.core import ids
from ccapi.core.errors import LinkExpired
from media_jobs.artefacts import api, names, storages
from media_jobs.artefacts.models import Artefact

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    """A folder of the test's own."""
    alias = settings.STORAGES["artefacts"]
    options = {**alias["OPTIONS"], "location": tmp_path}
    settings.STORAGES = {**settings.STORAGES, "artefacts": {**alias, "OPTIONS": options}}
    return tmp_path


@pytest.fixture
def organization() -> int:
    return organization_pk(create_organization("Example", "owner@example.com"))


def kept(organization: int, data: bytes = PNG, media_type: str = "image/png") -> api.Kept:
    return api.keep(
        data, media_type=media_type, organization_id=organization, request_id=ids.uuid7()
    )


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_artefact_is_fetched_by_its_link_alone(organization: int) -> None:
    found = kept(organization)

    answer = Client().get(found.url_path)

    assert answer.status_code == 200
    assert answer.content == PNG
    assert answer["content-type"] == "image/png"
    assert answer["content-disposition"] == f'inline; filename="{found.name}"'
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["content-security-policy"] == "default-src 'none'; sandbox"
    assert re.fullmatch(r"private, max-age=86\d{3}, immutable", answer["cache-control"])
    assert Client().head(found.url_path).status_code == 200


def test_a_row_says_whose_it_is_and_for_how_long(organization: int, settings: Settings) -> None:
    settings.CCAPI_ARTEFACT_S = 60

    found = kept(organization)

    row = Artefact.objects.get(name=found.name)
    assert row.organization_id == organization
    assert (row.bytes, row.media_type) == (len(PNG), "image/png")
    assert row.expires_at == found.expires_at == names.expires_at(found.name)
    assert timedelta(0) < found.expires_at - timezone.now() <= timedelta(seconds=60)


def test_no_two_names_are_alike_and_none_tells_another() -> None:
    at = timezone.now()

    made = {names.make("image/png", expires_at=at) for _ in range(1000)}

    assert len(made) == 1000
    assert all(names.is_name(name) and name.endswith(".png") for name in made)


def test_files_are_encrypted_and_for_their_owner_alone(organization: int, folder: Path) -> None:
    kept(organization)

    (path,) = files(folder)
    assert b"PNG" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_put_in_the_place_of_another_is_not_shown(organization: int, folder: Path) -> None:
    one, other = kept(organization), kept(organization, b"other")
    paths = {path.name: path for path in files(folder)}
    paths[one.name].write_bytes(paths[other.name].read_bytes())

    with pytest.raises(ValueError, match="does not belong"):
        api.read(one.name)


def test_a_link_is_absolute_by_the_setting_and_else_as_the_customer_reached_us(
    organization: int, settings: Settings
) -> None:
    found = kept(organization)
    settings.CCAPI_PUBLIC_URL = ""

    assert api.link(found.name, base_url="http://here:1/") == "http://here:1" + found.url_path
    settings.CCAPI_PUBLIC_URL = "https://api.example.com"
    assert api.link(found, base_url="http://here:1") == "https://api.example.com" + found.url_path


def test_a_link_that_was_changed_is_refused(organization: int) -> None:
    found, other = kept(organization), kept(organization)
    path = urlsplit(found.url_path)
    query = {name: values[0] for name, values in parse_qs(path.query).items()}
    longer = {**query, "expires": str(int(query["expires"]) + 1)}
    signature = query["signature"]
    changed = {**query, "signature": ("0" if signature[0] != "0" else "1") + signature[1:]}
    client = Client()

    for sent in ({}, longer, changed, {**query, "signature": "é"}, {"expires": query["expires"]}):
        answer = client.get(path.path, sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "invalid_link")
    for name in (other.name, "x", "..", found.name + "x", found.name.upper()):
        assert client.get(f"/media/artefacts/{name}", query).status_code in (403, 404), name


def test_there_is_no_list_and_nothing_to_change(organization: int) -> None:
    found = kept(organization)
    client = Client()

    assert client.get("/media/artefacts/").status_code in (403, 404)
    assert client.get("/media/artefacts").status_code == 404
    answer = client.delete(found.url_path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_an_expired_link_says_so(organization: int, settings: Settings) -> None:
    settings.CCAPI_ARTEFACT_S = 1
    found = kept(organization)
    time.sleep(1.1)

    answer = Client().get(found.url_path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "link_expired")


def test_what_is_due_is_deleted_with_its_file_and_nothing_else(
    organization: int, folder: Path, settings: Settings
) -> None:
    settings.CCAPI_ARTEFACT_S = 1
    gone = kept(organization)
    settings.CCAPI_ARTEFACT_S = 3600
    stays = kept(organization)
    time.sleep(1.1)

    assert api.delete_due() == 1
    assert api.delete_due() == 0

    assert [path.name for path in files(folder)] == [stays.name]
    assert list(Artefact.objects.values_list("name", flat=True)) == [stays.name]
    assert Client().get(gone.url_path).status_code == 410
    with pytest.raises(LinkExpired):
        api.read(gone.name)


def test_a_row_whose_file_is_gone_is_deleted_all_the_same(
    organization: int, folder: Path, settings: Settings
) -> None:
    """As a kill between the two deletions leaves it."""
    settings.CCAPI_ARTEFACT_S = 1
    found = kept(organization)
    files(folder)[0].unlink()
    time.sleep(1.1)

    assert Client().get(found.url_path).status_code == 410
    assert api.delete_due() == 1


def test_the_file_of_a_transaction_that_rolls_back_is_swept(
    organization: int, folder: Path
) -> None:
    stays = kept(organization)

    def order() -> None:
        with transaction.atomic():
            kept(organization, b"lost")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        order()
    (orphan,) = [path for path in files(folder) if path.name != stays.name]

    assert api.sweep_orphans() == 0  # its transaction may be open still
    long_ago = time.time() - 7200
    for path in files(folder):
        os.utime(path, (long_ago, long_ago))
    assert api.sweep_orphans() == 1

    assert not orphan.exists()
    assert api.read(stays.name) == PNG


def test_folders_of_hours_that_are_over_are_removed_and_others_left(folder: Path) -> None:
    (folder / "2001020304").mkdir()
    (folder / "2999020304").mkdir()
    (folder / "lost+found").mkdir()
    (folder / "2001020305").mkdir()
    (folder / "2001020305" / "somebody's").write_bytes(b"x")

    api.sweep_orphans()

    left = sorted(path.name for path in folder.iterdir())
    assert left == ["2001020305", "2999020304", "lost+found"]


def test_sweeping_where_nothing_was_ever_kept_does_nothing(folder: Path) -> None:
    folder.rmdir()

    assert api.sweep_orphans() == api.delete_due() == 0


@pytest.mark.parametrize(
    ("asked", "status", "range_told", "data"),
    [
        ("bytes=0-3", 206, f"bytes 0-3/{len(PNG)}", PNG[:4]),
        ("bytes=2000-", 206, f"bytes 2000-{len(PNG) - 1}/{len(PNG)}", PNG[2000:]),
        ("bytes=2000-99999", 206, f"bytes 2000-{len(PNG) - 1}/{len(PNG)}", PNG[2000:]),
        ("bytes=-5", 206, f"bytes {len(PNG) - 5}-{len(PNG) - 1}/{len(PNG)}", PNG[-5:]),
        ("bytes=-99999", 206, f"bytes 0-{len(PNG) - 1}/{len(PNG)}", PNG),
        ("bytes=99999-", 416, f"bytes */{len(PNG)}", b""),
        ("bytes=-0", 416, f"bytes */{len(PNG)}", b""),
        ("bytes=5-2", 416, f"bytes */{len(PNG)}", b""),
        ("bytes=0-1,4-5", 200, None, PNG),
        ("lines=1-2", 200, None, PNG),
    ],
)
def test_a_range_is_answered_with_that_range(
    organization: int, asked: str, status: int, range_told: str | None, data: bytes
) -> None:
    answer = Client().get(kept(organization).url_path, headers={"range": asked})

    assert answer.status_code == status
    assert answer.headers.get("content-range") == range_told
    assert answer.content == data
    assert answer["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("media_type", "told", "shown"),
    [
        ("audio/mpeg", "audio/mpeg", "inline"),
        ("Audio/WAV; codecs=1", "audio/wav", "inline"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("text/html", "application/octet-stream", "attachment"),
        ("../../etc", "application/octet-stream", "attachment"),
    ],
)
def test_only_what_a_browser_can_do_no_harm_with_is_shown_in_place(
    organization: int, media_type: str, told: str, shown: str
) -> None:
    answer = Client().get(kept(organization, b"<script>", media_type).url_path)

    assert answer["content-type"] == told
    assert answer["content-disposition"].startswith(shown + ";")


class Bucket(storages.SealedFiles):
    """What S3's storage has beyond files: links of its own."""

    def url(self, name: str | None, expire: int = 0) -> str:
        return f"https://s3.example.com/bucket/{name}?expires={expire}"


def test_who_follows_a_link_to_a_bucket_is_sent_to_its_own_short_lived_one(
    organization: int, settings: Settings
) -> None:
    alias = settings.STORAGES["artefacts"]
    bucket = {**alias, "BACKEND": f"{__name__}.Bucket"}
    settings.STORAGES = {**settings.STORAGES, "artefacts": bucket}
    settings.CCAPI_ARTEFACT_STORAGE = "s3"
    found = kept(organization)

    answer = Client().get(found.url_path)

    assert answer.status_code == 302
    there = f"https://s3.example.com/bucket/{names.path(found.name)}?expires=300"
    assert answer["location"] == there
    assert answer["cache-control"] == "no-store"
    assert Client().get(found.url_path + "0").status_code == 403


def test_s3_without_its_library_or_bucket_is_told_when_the_product_is_checked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def problems() -> list[str | None]:
        return [each.id for each in run_checks() if (each.id or "").startswith("artefacts")]

    assert problems() == []
    settings.CCAPI_ARTEFACT_STORAGE = "s3"
    monkeypatch.setattr(storages, "find_spec", lambda _name: None)
    assert problems() == ["artefacts.E2"]
    monkeypatch.setattr(storages, "find_spec", lambda _name: object())
    assert problems() == ["artefacts.E3"]
    settings.CCAPI_ARTEFACT_S3_BUCKET = "pictures"
    assert problems() == []
    settings.CCAPI_ARTEFACT_STORAGE = "tape"
    assert problems() == ["artefacts.E1"]

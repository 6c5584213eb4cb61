"""What a model must have a price for, and what its prices are told to be for."""

import pytest

from catalog import units
from catalog.file.reading import DocumentError
from tests.catalog.catalog_documents import model, provider
from tests.catalog.test_catalog_file import read_plain


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("chat", ("input", "output")),
        ("embedding", ("input",)),
        ("image", ("image",)),
        ("image", ("input", "output_image")),
        ("image", ("input", "output", "input_image")),
        ("audio", ("input_characters",)),
        ("audio", ("input", "output_audio")),
        ("audio", ("input", "output")),
        ("audio", ("audio_seconds",)),
    ],
)
def test_each_of_these_is_enough_to_sell_a_model(kind: str, named: tuple[str, ...]) -> None:
    assert units.missing(kind, named) == ""


@pytest.mark.parametrize(
    ("kind", "named", "told"),
    [
        ("chat", ("input",), "output"),
        ("embedding", ("output",), "input"),
        ("image", ("input",), "image or input with output_image"),
        ("image", ("output_image",), "image or input"),
        ("image", ("request",), "image or"),
        ("audio", ("image",), "input_characters or"),
        ("audio", ("output_audio",), "input_characters or"),
    ],
)
def test_a_file_without_one_is_refused_and_says_what_would_do(
    kind: str, named: tuple[str, ...], told: str
) -> None:
    prices = dict.fromkeys(named, "1")

    with pytest.raises(DocumentError) as refused:
        read_plain(
            {"providers": [provider("a")], "models": [model("a/x", type=kind, prices=prices)]}
        )

    assert f"models[0].prices: {told}" in str(refused.value)


@pytest.mark.parametrize(
    ("named", "unit"),
    [
        (("input", "output"), "per_million_tokens"),
        (("image",), "per_image"),
        (("image", "request"), "per_image"),
        (("input_characters",), "per_million_characters"),
        (("audio_seconds",), "per_second"),
        (("image", "input"), "per_million_tokens"),
        ((), "per_million_tokens"),
    ],
)
def test_the_unit_is_that_of_most_prices(named: tuple[str, ...], unit: str) -> None:
    assert units.unit_of(named) == unit


@pytest.mark.parametrize("protocol", ["elevenlabs", "replicate"])
def test_protocols_of_media_are_taken(protocol: str) -> None:
    voice = provider("a", protocol=protocol, auth="xi-api-key")

    entry = read_plain({"providers": [voice]}).providers[0]

    assert (entry.columns["protocol"], entry.columns["auth"]) == (protocol, "xi-api-key")

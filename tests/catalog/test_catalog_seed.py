"""The seed catalog: complete, priced as the library has it, and never in an admin's way."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import yaml
from genai_prices import Usage, calc_price
from pytest_django import DjangoAssertNumQueries

from catalog import api, prices, reference, seeding, upstream_keys
from catalog.file.entries import ModelEntry
from catalog.file.reading import parse_yaml
from catalog.models import Model, Provider, UpstreamKey
from catalog.types import SANDBOXES, Rate
from gateway.protocols.registry import CODECS
from gateway.sandbox.media_scenarios import ASYNC_IMAGES, IMAGES, SPEECH
from gateway.sandbox.scenarios import SCENARIOS

# In DeepSeek's peak hours, since the seed has its dearest prices.
REVIEWED = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "groq": "GROQ_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "xai": "XAI_API_KEY",
    "elevenlabs": "ELEVENLABS_API_KEY",
    "replicate": "REPLICATE_API_TOKEN",
}
# Their unit, our unit, and the tokens of a library's usage that are of this kind alone.
GRID = (0, 1, 999, 1000, 99_999, 100_000, 100_001, 200_000, 200_001, 272_000, 272_001, 900_000)
LISTED = [
    entry
    for entry in seeding.load({}).models
    if entry.provider in reference.LIBRARY and all(line.unit != "image" for line in entry.prices)
]


def spoken(entry: ModelEntry) -> bool:
    return any(line.unit == "input_characters" for line in entry.prices)


def test_the_quick_reader_reads_what_the_other_one_does() -> None:
    text = seeding.FILE.read_text(encoding="utf-8")

    (quick, quick_source), (plain, plain_source) = parse_yaml(text, is_ours=True), parse_yaml(text)

    assert quick == plain
    for source in (quick_source, plain_source):
        source.add(("models", 7, "prices"), "a mistake")
    assert quick_source.problems == plain_source.problems


@pytest.mark.django_db
def test_hundreds_of_models_are_made_in_a_few_statements(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    """A first start waits for them."""
    with django_assert_max_num_queries(60):
        changes = api.seed({})

    assert len(changes.created) > 400  # providers, models and prices


@pytest.mark.django_db
def test_a_fresh_catalog_calls_nobody_and_lists_who_waits() -> None:
    changes = api.seed({})

    assert set(changes.not_configured) == set(KEYS)
    assert dict(api.current_sync().providers) == {}


@pytest.mark.django_db
def test_a_provider_whose_key_is_in_the_environment_is_enabled() -> None:
    api.seed({variable: f"key-of-{name}" for name, variable in KEYS.items()})

    found = api.current_sync().providers
    assert {name: each.api_keys for name, each in found.items()} == {
        name: (f"key-of-{name}",) for name in KEYS
    }
    chat = {name for name in KEYS if name not in ("elevenlabs", "replicate")}
    assert {name for name, each in found.items() if each.protocol in CODECS} == chat


@pytest.mark.django_db
def test_seeding_again_changes_nothing() -> None:
    environ = {"OPENAI_API_KEY": "o-1"}
    api.seed(environ)

    changes = api.seed(environ)

    assert (changes.created, changes.updated) == ((), ())


@pytest.mark.django_db
def test_seeding_never_overwrites_what_an_admin_changed() -> None:
    api.seed({"OPENAI_API_KEY": "o-1"})
    openai = Provider.objects.get(name="openai")
    upstream_keys.replace(openai, ("by-admin",), origin="admin")
    Provider.objects.filter(name="openai").update(display_name="Ours", enabled=False)
    Model.objects.filter(catalog_id="openai/gpt-4o").update(enabled=False)
    model = Model.objects.get(catalog_id="openai/gpt-4o-mini")
    dearer = {
        prices.Place(unit): prices.Price(Decimal(9), Decimal(1)) for unit in ("input", "output")
    }
    prices.revise(model, dearer, source="admin", actor="admin")

    changes = api.seed({"OPENAI_API_KEY": "o-2"})

    openai.refresh_from_db()
    assert (openai.display_name, openai.enabled) == ("Ours", False)
    assert upstream_keys.stored(openai) == ("by-admin",)
    assert not Model.objects.get(catalog_id="openai/gpt-4o").enabled
    version = prices.current(model)
    assert version is not None
    assert prices.sheet_of(version) == dearer
    assert (changes.created, changes.updated) == ((), ())


@pytest.mark.django_db
def test_a_key_from_the_environment_follows_the_environment() -> None:
    api.seed({"OPENAI_API_KEY": "o-1"})
    assert UpstreamKey.objects.get().origin == "env:OPENAI_API_KEY"

    api.seed({"OPENAI_API_KEY": "o-2"})
    assert api.current_sync().providers["openai"].api_keys == ("o-2",)

    api.seed({})  # a start without the variable forgets nothing
    assert api.current_sync().providers["openai"].api_keys == ("o-2",)


@pytest.mark.django_db
def test_what_a_later_release_adds_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    later = seeding.FILE.read_text(encoding="utf-8")
    earlier = yaml.safe_load(later)
    earlier["providers"] = [each for each in earlier["providers"] if each["name"] != "xai"]
    earlier["models"] = [each for each in earlier["models"] if not each["id"].startswith("xai/")]
    monkeypatch.setattr(seeding, "_text", lambda: yaml.safe_dump(earlier))
    api.seed({})
    monkeypatch.setattr(seeding, "_text", lambda: later)

    changes = api.seed({})

    assert "provider xai" in changes.created
    assert "price xai/grok-4.7" in changes.created
    assert all("xai" in each for each in changes.created)


@pytest.mark.django_db
def test_ollama_is_enabled_at_the_address_of_the_environment() -> None:
    api.seed({})
    assert "ollama" not in api.current_sync().providers

    api.seed({"OLLAMA_BASE_URL": "http://10.0.0.5:11434/"})

    found = api.current_sync().providers["ollama"]
    assert (found.base_url, found.api_keys) == ("http://10.0.0.5:11434/v1", ())

    Provider.objects.filter(name="ollama").update(enabled=False)
    api.seed({"OLLAMA_BASE_URL": "http://10.0.0.5:11434"})
    assert "ollama" not in api.current_sync().providers


@pytest.mark.django_db
def test_the_sandbox_speaks_every_protocol_and_has_every_scenario() -> None:
    api.seed({})
    api.set_endpoint("sandbox", "http://127.0.0.1:9/v1")

    snapshot = api.current_sync()
    spoken = {each.name: (each.protocol, each.base_url) for each in snapshot.providers.values()}
    assert spoken == {
        "sandbox": ("openai", "http://127.0.0.1:9/v1"),
        "sandbox-responses": ("openai_responses", "http://127.0.0.1:9/v1"),
        "sandbox-anthropic": ("anthropic", "http://127.0.0.1:9/v1"),
        "sandbox-gemini": ("gemini", "http://127.0.0.1:9/v1beta"),
        "sandbox-ollama": ("ollama", "http://127.0.0.1:9"),
        "sandbox-async": ("replicate", "http://127.0.0.1:9/v1"),
    }
    assert {protocol for protocol, _ in spoken.values()} == {*CODECS, "replicate"}
    names = {
        provider: {model.name for model in snapshot.models.values() if model.provider == provider}
        for provider in SANDBOXES
    }
    assert names["sandbox"] == {*SCENARIOS, *SPEECH, *IMAGES, "failover", "embedding"}
    assert names["sandbox-async"] == {*ASYNC_IMAGES}
    for provider in names.keys() - {"sandbox", "sandbox-async"}:
        assert names[provider] == {*SCENARIOS} - {"priced"}
    for model in snapshot.models.values():
        assert model.price is not None
        free = all(rate.pico == 0 for rate in model.price.rates.values())
        assert free == (not model.name.endswith("priced"))
        made = {"speech": "audio", "image": "image", "embedding": "embedding"}
        assert model.type == made.get(model.name.partition("-")[0], "chat")
    priced = snapshot.models["sandbox/priced"].price
    assert priced is not None
    assert {unit: rate.pico for unit, rate in priced.rates.items()} == {
        "input": 10**12,
        "output": 2 * 10**12,
    }

    api.set_endpoint("sandbox", None)
    assert dict(api.current_sync().providers) == {}


@pytest.mark.django_db
def test_the_markup_moves_seeded_prices_and_neither_the_sandbox_nor_an_admins() -> None:
    api.seed({"OPENAI_API_KEY": "o"})
    api.set_endpoint("sandbox", "http://127.0.0.1:9/v1")
    own = {prices.Place(unit): prices.Price(Decimal(9), Decimal(1)) for unit in ("input", "output")}
    prices.revise(Model.objects.get(catalog_id="openai/gpt-4o"), own, source="admin", actor="admin")

    api.import_document({"markup": "1.20"})

    assert input_pico("openai/gpt-4o-mini") == 180_000_000_000
    assert input_pico("openai/gpt-4o") == 9 * 10**12
    assert input_pico("sandbox/priced") == 10**12
    version = prices.current(Model.objects.get(catalog_id="openai/gpt-4o-mini"))
    assert version is not None
    assert prices.sheet_of(version)[prices.Place("input")].cost == Decimal("0.15")


@pytest.mark.django_db
def test_a_catalog_seeded_under_a_markup_is_sold_at_it() -> None:
    api.import_document({"markup": "1.50"})

    api.seed({"OPENAI_API_KEY": "o"})

    assert input_pico("openai/gpt-4o-mini") == 225_000_000_000


def input_pico(model_id: str) -> int:
    price = api.current_sync().models[model_id].price
    assert price is not None
    return price.rates["input"].pico


@pytest.mark.django_db
def test_the_catalog_has_no_difference_from_the_library() -> None:
    api.seed({})

    assert list(reference.differences(REVIEWED)) == []

    model = Model.objects.get(catalog_id="openai/gpt-4o-mini")
    version = prices.current(model)
    assert version is not None
    sheet = prices.sheet_of(version)
    prices.revise(
        model,
        {**sheet, prices.Place("input"): prices.Price(Decimal(1), Decimal(1))},
        source="x",
        actor="x",
    )
    assert list(reference.differences(prices.database_now())) == [
        "openai/gpt-4o-mini input: ours 1.000000000000, theirs 0.15"
    ]


@pytest.mark.parametrize(
    "entry", [each for each in LISTED if not spoken(each)], ids=lambda entry: entry.id
)
def test_a_seeded_model_costs_what_the_library_calculates(entry: ModelEntry) -> None:
    """The library's own arithmetic as the oracle, tolerance zero, below and above each tier."""
    lines = {(each.unit, each.tier_start): each.sell for each in entry.prices}
    starts = sorted({start for _, start in lines}, reverse=True)
    upstream = entry.offers[0].upstream_model

    for tokens in GRID:
        start = next(each for each in starts if tokens > each or each == 0)
        for output in (0, 7, 4096) if ("output", 0) in lines else (0,):  # vectors are no output
            theirs = calc_price(
                Usage(input_tokens=tokens, output_tokens=output),
                model_ref=upstream,
                provider_id=reference.LIBRARY[entry.provider],
                genai_request_timestamp=REVIEWED,
            ).total_price
            ours = tokens * lines.get(("input", start), lines["input", 0])
            if output:
                ours += output * lines.get(("output", start), lines["output", 0])

            assert ours == theirs * 1_000_000, (tokens, output)


@pytest.mark.parametrize(
    "entry", [each for each in LISTED if spoken(each)], ids=lambda entry: entry.id
)
def test_a_seeded_voice_costs_what_the_library_has_a_million_characters(entry: ModelEntry) -> None:
    found = reference.reference(entry.provider, entry.offers[0].upstream_model, REVIEWED)

    assert found == {prices.Place("input_characters"): entry.prices[0].sell}


def test_the_seed_has_a_current_choice_of_every_provider() -> None:
    count: dict[str, int] = {}
    for entry in seeding.load({}).models:
        if entry.columns["type"] in ("image", "audio"):
            continue  # of which the vendors publish no window
        assert entry.columns["context_length"], entry.id
        if entry.columns["type"] == "embedding":
            continue  # it writes nothing
        count[entry.provider] = count.get(entry.provider, 0) + 1
        assert entry.columns["max_output_tokens"], entry.id

    listed = {name: number for name, number in count.items() if name in reference.LIBRARY}
    assert set(listed) == set(reference.LIBRARY)
    assert all(3 <= number <= 12 for number in listed.values())
    assert count["local"] == 1


@pytest.mark.django_db
def test_seeded_voices_and_pictures_are_sold_and_withdrawn_ones_are_not() -> None:
    api.seed({variable: f"key-of-{name}" for name, variable in KEYS.items()})

    models = api.current_sync().models.values()

    made = {model.id: model.price for model in models if model.type in ("image", "audio")}
    assert all(made.values())
    assert "openai/dall-e-3" not in made
    speech = made["elevenlabs/eleven_multilingual_v2"]
    picture = made["replicate/black-forest-labs/flux-schnell"]
    assert speech is not None
    assert picture is not None
    assert dict(speech.rates) == {"input_characters": Rate(100 * 10**12, 1_000_000)}
    assert dict(picture.rates) == {"image": Rate(3 * 10**9, 1)}

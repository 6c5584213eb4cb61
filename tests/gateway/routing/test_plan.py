"""Candidates and the bounds of what each can use."""

from types import MappingProxyType

import msgspec
import pytest

from accounts.types import Caller
from catalog.types import Model, Offer, PriceVersion, Provider, Rate, Snapshot
from ccapi.core.errors import (
    InvalidParameter,
    MissingParameter,
    ModelNotAllowed,
    ModelNotFound,
    ModelNotPriced,
    NoProviderAvailable,
)
from gateway.ir.request import File, Image, Media, Message, Part, Request, Text
from gateway.routing.plan import IMAGE_TOKENS_MAX, candidates_for, in_order

CALLER = Caller(organization_id=1, organization="org_1", key_id=1, key="key_1")
PRICE = PriceVersion(
    id=7,
    model="a/one",
    rates=MappingProxyType({"input": Rate(1_000_000), "output": Rate(2_000_000)}),
)
PROVIDER = Provider(
    id=1, name="a", display_name="A", protocol="openai", base_url="http://127.0.0.1:1/v1"
)


def model(model_id: str = "a/one", **fields: object) -> Model:
    offer = Offer(id=1, model=model_id, provider=PROVIDER, upstream_model="one")
    usual = Model(
        id=model_id,
        provider="a",
        type="chat",
        display_name="One",
        created=0,
        context_length=8000,
        max_output_tokens=1000,
        capabilities=frozenset(),
        input_modalities=("text",),
        output_modalities=("text",),
        priority=0,
        price=PRICE,
        offers=(offer,),
    )
    return msgspec.structs.replace(usual, **fields)


def snapshot(*models: Model) -> Snapshot:
    return Snapshot(
        revision=1,
        models=MappingProxyType({each.id: each for each in models}),
        providers=MappingProxyType({"a": PROVIDER}),
        bare_names=MappingProxyType({each.name: each.id for each in models}),
    )


def request(*parts: Part, **fields: object) -> Request:
    usual = Request(
        model="a/one", messages=(Message(role="user", parts=parts or (Text(text="Hi."),)),)
    )
    return msgspec.structs.replace(usual, **fields)


def test_model_comes_before_models_and_each_once() -> None:
    catalog = snapshot(model("a/one"), model("a/two"), model("a/three"))
    asked = request(models=("a/two", "a/one", "three"))

    candidates = candidates_for(catalog, CALLER, asked, body_bytes=100, seed=1)

    assert [candidate.model.id for candidate in candidates] == ["a/one", "a/two", "a/three"]


def test_the_bytes_of_the_body_bound_the_input_within_the_window() -> None:
    catalog = snapshot(model())

    (small,) = candidates_for(catalog, CALLER, request(), body_bytes=100, seed=1)
    (large,) = candidates_for(catalog, CALLER, request(), body_bytes=1_000_000, seed=1)

    assert 100 < small.bound.input_tokens < 2000
    assert large.bound.input_tokens == 8000


@pytest.mark.parametrize(
    ("part", "least"),
    [
        (Image(source=Media(url="https://example.com/a.png")), IMAGE_TOKENS_MAX),
        (File(source=Media(file_id="file-1")), 1_000_000),
    ],
)
def test_what_the_bytes_do_not_tell_is_bounded_by_published_maxima(part: Part, least: int) -> None:
    catalog = snapshot(model(context_length=1_000_000))

    (candidate,) = candidates_for(catalog, CALLER, request(part), body_bytes=100, seed=1)

    assert candidate.bound.input_tokens >= least


@pytest.mark.parametrize(
    ("stated", "n", "bound"), [(None, 1, 1000), (200, 1, 200), (200, 3, 600), (5000, 1, 1000)]
)
def test_the_output_is_bounded_by_the_stated_maximum_within_the_models(
    stated: int | None, n: int, bound: int
) -> None:
    asked = request(max_tokens=stated, n=n)

    (candidate,) = candidates_for(snapshot(model()), CALLER, asked, body_bytes=100, seed=1)

    assert candidate.bound.output_tokens == bound


def test_each_refusal_has_its_own_error() -> None:
    only_other = Caller(
        organization_id=1,
        organization="org_1",
        key_id=1,
        key="key_1",
        allowed_models=frozenset({"b/x"}),
    )
    with pytest.raises(MissingParameter):
        candidates_for(snapshot(model()), CALLER, request(model=""), body_bytes=1, seed=1)
    with pytest.raises(ModelNotFound):
        candidates_for(snapshot(model()), CALLER, request(model="a/none"), body_bytes=1, seed=1)
    with pytest.raises(ModelNotAllowed):
        candidates_for(snapshot(model()), only_other, request(), body_bytes=1, seed=1)
    with pytest.raises(InvalidParameter):
        candidates_for(snapshot(model(type="image")), CALLER, request(), body_bytes=1, seed=1)
    with pytest.raises(ModelNotPriced):
        candidates_for(snapshot(model(price=None)), CALLER, request(), body_bytes=1, seed=1)
    with pytest.raises(NoProviderAvailable):
        candidates_for(snapshot(model(offers=())), CALLER, request(), body_bytes=1, seed=1)
    many = tuple(f"a/{number}" for number in range(17))
    catalog = snapshot(*(model(name) for name in many))
    with pytest.raises(InvalidParameter):
        candidates_for(catalog, CALLER, request(models=many), body_bytes=1, seed=1)


def offers_of(*weights: tuple[int, int]) -> tuple[Offer, ...]:
    """Offers by (priority, weight)."""
    return tuple(
        Offer(
            id=at,
            model="a/one",
            provider=PROVIDER,
            upstream_model="one",
            priority=priority,
            weight=weight,
        )
        for at, (priority, weight) in enumerate(weights)
    )


def test_offers_of_a_lower_priority_number_come_first_whatever_their_weight() -> None:
    offers = offers_of((1, 100), (0, 1), (2, 1), (0, 1))
    for seed in range(50):
        order = [each.priority for each in in_order(offers, seed)]
        assert order == [0, 0, 1, 2]


def test_offers_of_one_priority_come_first_as_often_as_their_weights_say() -> None:
    offers = offers_of((0, 1), (0, 3), (0, 6))
    first = [in_order(offers, seed)[0].id for seed in range(4000)]
    shares = [first.count(at) / 4000 for at in range(3)]
    assert shares == pytest.approx([0.1, 0.3, 0.6], abs=0.03)


def test_an_offer_of_weight_zero_is_the_last_of_its_priority() -> None:
    offers = offers_of((0, 0), (0, 1), (1, 5))
    assert {tuple(each.id for each in in_order(offers, seed)) for seed in range(50)} == {(1, 0, 2)}


def test_the_same_seed_gives_the_same_order_and_every_offer_is_a_candidate_at_the_one_price() -> (
    None
):
    catalog = snapshot(model(offers=offers_of((0, 1), (0, 1), (0, 1))))

    def ids(seed: int) -> list[int]:
        found = candidates_for(catalog, CALLER, request(), body_bytes=1, seed=seed)
        assert {each.price.id for each in found} == {7}
        return [each.offer.id for each in found]

    assert ids(5) == ids(5)
    assert sorted(ids(5)) == [0, 1, 2]
    assert len({tuple(ids(seed)) for seed in range(50)}) == 6

"""Bodies of both image routes, read: every field with its type, its range and its name."""

from typing import Any

import msgspec
import pytest

from ccapi.core.errors import InvalidParameter, MissingParameter, UnsupportedParameter
from gateway.protocols.shared import raws
from media_jobs import reading
from media_jobs.reading import Asked

MODEL = "openai/gpt-image-1.5"


def body(**told: Any) -> dict[str, raws.Raw]:  # noqa: ANN401 - JSON is anything
    return raws.decode_object(msgspec.json.encode(told))


def generations(**told: Any) -> Asked:  # noqa: ANN401
    return reading.generations(body(**{"model": MODEL, "prompt": "a hare", **told}))


def generate(contents: list[Any] | None = None, **told: Any) -> Asked:  # noqa: ANN401
    contents = [{"text": "a hare"}] if contents is None else contents
    return reading.generate(body(**{"model": MODEL, "contents": contents, **told}))


def test_openais_smallest_body_is_read() -> None:
    asked = generations()

    assert asked.request.models == (MODEL,)
    assert asked.request.prompt == "a hare"
    assert asked.request.count == 1
    assert asked.request.operation == "text-to-image"
    assert (asked.request.width, asked.request.height) == (None, None)


def test_every_parameter_of_openais_is_read_or_kept_for_the_driver() -> None:
    asked = generations(
        n=3,
        size="1536x1024",
        quality="high",
        style="vivid",
        background="transparent",
        output_format="webp",
        output_compression=80,
        moderation="low",
        response_format="url",
        user="u-1",
        stream=False,
        partial_images=0,
    )

    request = asked.request
    assert (request.count, request.width, request.height) == (3, 1536, 1024)
    assert (request.quality, request.output_format, request.user) == ("high", "webp", "u-1")
    assert {name: bytes(value) for name, value in request.extras.items()} == {
        "style": b'"vivid"',
        "background": b'"transparent"',
        "output_compression": b"80",
        "moderation": b'"low"',
    }


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["openai/gpt-image-2"], "b64_json"),
        (["chatgpt-image-latest"], "b64_json"),
        (["local/abstract-1", "openai/gpt-image-2"], "b64_json"),
        (["openai/dall-e-3"], "url"),
        (["stabilityai/stable-diffusion-xl-1024-v1-0"], "url"),
    ],
)
def test_without_a_response_format_openais_clients_get_what_they_read(
    models: list[str], expected: str
) -> None:
    asked = reading.generations(body(models=models, prompt="a hare"))

    assert asked.request.response_format == expected


def test_the_model_comes_before_the_models_and_none_twice() -> None:
    asked = generations(models=["b/2", MODEL, "c/3", "b/2"])

    assert asked.request.models == (MODEL, "b/2", "c/3")


def test_auto_and_null_mean_not_said() -> None:
    request = generations(size="auto", quality="auto", n=None, background=None).request

    assert (request.width, request.quality, request.count) == (None, "", 1)
    assert request.extras == {}


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 10**30}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"size": "99999x16"}, "size"),
        ({"size": 1024}, "size"),
        ({"seed": -1}, "seed"),
        ({"response_format": "png"}, "response_format"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"strength": 0.5}, "strength"),
        ({"output_compression": 101}, "output_compression"),
        ({"style": 7}, "style"),
        ({"user": "u" * 513}, "user"),
        ({"models": [f"m/{n}" for n in range(20)]}, "models"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(told: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        generations(**told)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ({"stream": True}, "stream"),
        ({"partial_images": 2}, "partial_images"),
        ({"output_format": "svg"}, "output_format"),
    ],
)
def test_what_we_do_not_do_is_refused_by_name(told: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        generations(**told)

    assert caught.value.param == param


def test_prompt_and_model_must_be_there() -> None:
    with pytest.raises(MissingParameter) as no_prompt:
        reading.generations(body(model=MODEL))
    with pytest.raises(MissingParameter) as no_model:
        reading.generations(body(prompt="a hare"))

    assert (no_prompt.value.param, no_model.value.param) == ("prompt", "model")


@pytest.mark.parametrize(
    ("parts", "operation"),
    [
        ([], "text-to-image"),
        ([{"image": {"url": "https://a.test/1.png"}}], "image-to-image"),
        (
            [
                {"image": {"url": "https://a.test/1.png"}},
                {"mask": {"data": "aGk=", "mime_type": "image/png"}},
            ],
            "inpainting",
        ),
        ([{"image": {"url": "https://a.test/1.png"}}, {"image": {"data": "aGk="}}], "remix"),
    ],
)
def test_the_operation_follows_from_the_contents(parts: list[Any], operation: str) -> None:
    asked = generate([{"text": "a hare"}, *parts])

    assert asked.request.operation == operation


def test_references_keep_their_place_and_what_was_declared() -> None:
    asked = generate(
        [
            {"image": {"url": "https://a.test/1.png"}},
            {"text": "a hare"},
            {"mask": {"data": "aGk=", "mime_type": "image/png"}},
        ]
    )

    assert asked.images[0].at == "contents[0].image"
    assert asked.images[0].param == "contents[0].image.url"
    assert asked.mask is not None
    assert asked.mask.param == "contents[2].mask.data"
    assert asked.mask.media_type == "image/png"


def test_texts_are_joined_in_order() -> None:
    asked = generate([{"text": "a hare"}, {"text": "in the snow"}])

    assert asked.request.prompt == "a hare\n\nin the snow"


def test_every_parameter_of_ours_is_read() -> None:
    asked = generate(
        [{"text": "a hare"}, {"image": {"data": "aGk="}}],
        parameters={
            "num_images": 2,
            "width": 1024,
            "height": 768,
            "aspect_ratio": "4:3",
            "quality": "high",
            "seed": 7,
            "steps": 30,
            "guidance_scale": 7.5,
            "negative_prompt": "blurry",
            "strength": 0.6,
            "response_format": "b64_json",
            "output_format": "jpg",
            "go_fast": True,
        },
        webhook_url="https://hooks.test/1",
        user="u-1",
    )

    request = asked.request
    assert (request.count, request.width, request.height) == (2, 1024, 768)
    assert request.aspect_ratio == ""  # the size says it already
    assert (request.seed, request.steps, request.guidance_scale) == (7, 30, 7.5)
    assert (request.negative_prompt, request.strength) == ("blurry", 0.6)
    assert (request.response_format, request.output_format) == ("b64_json", "jpeg")
    assert bytes(request.extras["go_fast"]) == b"true"
    assert (asked.webhook_url, request.user) == ("https://hooks.test/1", "u-1")


@pytest.mark.parametrize(
    ("said", "read"), [("16:9", "16:9"), ("21:9", "21:9"), ("2:2", "1:1"), ("32:18", "16:9")]
)
def test_a_ratio_is_told_as_usual(said: str, read: str) -> None:
    assert generate(parameters={"aspect_ratio": said}).request.aspect_ratio == read


@pytest.mark.parametrize(
    ("contents", "param"),
    [
        ([{"text": "a"}, {"mask": {"data": "aGk="}}], "contents[1].mask"),
        ([{"text": "a", "image": {"data": "aGk="}}], "contents[0]"),
        ([{"text": "a"}, {"video": {"url": "https://a.test"}}], "contents[1]"),
        ([{"text": "a"}, {"image": {}}], "contents[1].image"),
        ([{"text": "a"}, {"image": {"url": "https://a", "data": "x"}}], "contents[1].image"),
        ([{"text": "a"}, {"image": "https://a.test/1.png"}], "contents[1].image"),
        ([{"text": "a"}, {"image": {"url": "https://" + "a" * 3000}}], "contents[1].image.url"),
        ([{"text": "a"}, *[{"image": {"data": "aGk="}}] * 17], "contents"),
        (
            [{"text": "a"}, {"image": {"data": "x"}}, *[{"mask": {"data": "x"}}] * 2],
            "contents[3].mask",
        ),
        ("a hare", "contents"),
    ],
)
def test_contents_that_make_no_sense_are_refused_at_their_place(
    contents: Any,  # noqa: ANN401
    param: str,
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        generate(contents)

    assert caught.value.param == param


def test_contents_without_a_text_are_refused() -> None:
    with pytest.raises(MissingParameter) as caught:
        generate([{"image": {"data": "aGk="}}])

    assert caught.value.param == "contents"


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ({"parameters": {"width": 512}}, "parameters.height"),
        ({"parameters": {"num_images": 2, "n": 3}}, "parameters.n"),
        (
            {"parameters": {"width": 512, "height": 512, "aspect_ratio": "16:9"}},
            "parameters.aspect_ratio",
        ),
        (
            {"parameters": {"width": 512, "height": 512, "size": "256x256"}},
            "parameters.size",
        ),
        ({"parameters": {"aspect_ratio": "wide"}}, "parameters.aspect_ratio"),
        ({"parameters": {"aspect_ratio": "0:1"}}, "parameters.aspect_ratio"),
        ({"parameters": {"strength": 0.5}}, "parameters.strength"),
        ({"parameters": {"guidance_scale": 101}}, "parameters.guidance_scale"),
        ({"parameters": {"steps": 0}}, "parameters.steps"),
        ({"num_images": 2}, "num_images"),
        ({"foo": 1}, "foo"),
        ({"parameters": []}, "parameters"),
    ],
)
def test_parameters_that_contradict_are_refused_by_their_path(
    told: dict[str, Any], param: str
) -> None:
    with pytest.raises((InvalidParameter, MissingParameter, UnsupportedParameter)) as caught:
        generate(**told)

    assert caught.value.param == param

"""The fake vendors of pictures are as strict as the real ones: clients of theirs are the judges."""

import base64
import io
import time
from typing import Any

import httpx2
import openai
import pytest
from google import genai
from google.genai import types

from tests.fakes.gemini_images import GeminiImages
from tests.fakes.openai_images import OpenAIImages
from tests.fakes.replicate import SECRET, Plan, Replicate, throttled
from tests.fakes.steps import reply
from tests.fakes.vendors import opened, png


def test_openais_own_client_makes_and_edits_pictures() -> None:
    with OpenAIImages() as vendor:
        client = openai.OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0)
        made = client.images.generate(model="gpt-image-2", prompt="a hare", n=2, size="1536x864")
        image = io.BytesIO(png(64, 64))
        image.name = "a.png"
        edited = client.images.edit(model="gpt-image-1.5", prompt="a fox", image=[image])
        linked = client.images.generate(model="dall-e-3", prompt="a hare", response_format="url")

        assert made.data is not None
        assert opened(base64.b64decode(made.data[0].b64_json or "")).size == (1536, 864)
        assert made.usage is not None
        assert made.usage.output_tokens == 544
        assert edited.data is not None
        assert len(vendor.edits[0]) == 1
        assert linked.data is not None
        link = linked.data[0].url or ""
        assert opened(httpx2.get(link, trust_env=False).content).size == (1024, 1024)


def test_openais_own_client_meets_its_errors() -> None:
    with OpenAIImages() as vendor:
        client = openai.OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0)
        stranger = openai.OpenAI(base_url=vendor.base_url, api_key="sk-no", max_retries=0)

        with pytest.raises(openai.AuthenticationError):
            stranger.images.generate(model="gpt-image-2", prompt="a hare")
        with pytest.raises(openai.BadRequestError, match="Unknown parameter"):
            client.images.generate(model="gpt-image-2", prompt="a hare", style="vivid")
        with pytest.raises(openai.BadRequestError, match="Invalid size"):
            client.images.generate(model="gpt-image-1.5", prompt="a hare", size="512x512")
        with pytest.raises(openai.NotFoundError):
            client.images.generate(model="nobodys", prompt="a hare")


def test_googles_own_client_makes_pictures() -> None:
    with GeminiImages() as vendor:
        options = types.HttpOptions(base_url=vendor.url, api_version="v1beta")
        client = genai.Client(api_key=vendor.key, http_options=options)
        config = types.GenerateContentConfig(
            response_modalities=["IMAGE"], image_config=types.ImageConfig(aspect_ratio="16:9")
        )
        parts = [
            types.Part(text="a hare"),
            types.Part.from_bytes(data=png(8, 8), mime_type="image/png"),
        ]
        told = client.models.generate_content(
            model="gemini-2.5-flash-image",
            contents=types.Content(role="user", parts=parts),
            config=config,
        )
        client.close()

        blobs = [part.inline_data for part in told.parts or [] if part.inline_data]
        assert opened(blobs[0].data or b"").size == (1344, 768)
        assert told.usage_metadata is not None
        assert told.usage_metadata.candidates_token_count == 1290


def ask(vendor: Replicate, method: str, path: str, body: Any = None) -> httpx2.Response:  # noqa: ANN401
    return httpx2.request(
        method,
        vendor.base_url + path,
        json=body,
        headers={"authorization": f"Bearer {vendor.key}"},
        trust_env=False,
    )


def test_a_prediction_goes_through_its_states() -> None:
    with Replicate() as vendor:
        vendor.plan(Plan(seconds=0.3))
        path = "/models/black-forest-labs/flux-schnell/predictions"
        created = ask(vendor, "POST", path, {"input": {"prompt": "a hare"}})
        states = [created.json()["status"]]
        for _ in range(200):
            now = ask(vendor, "GET", f"/predictions/{created.json()['id']}").json()
            if now["status"] != states[-1]:
                states.append(now["status"])
            if now["output"]:
                break
            time.sleep(0.01)

        assert created.status_code == 201
        assert states == ["starting", "processing", "succeeded"]
        data = httpx2.get(now["output"][0], trust_env=False).content
        assert opened(data).size == (1024, 1024)
        assert ask(vendor, "GET", "/webhooks/default/secret").json() == {"key": SECRET}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": {}}, "prompt is required"),
        ({"input": {"prompt": "a", "width": 5}}, "input.width"),
        ({"input": {"prompt": "a"}, "webhook_completed": "x"}, "webhook_completed"),
        ({"input": {"prompt": "a", "num_outputs": 9}}, "num_outputs"),
        ({"input": {"prompt": "a"}, "webhook": "http://a.test"}, "HTTPS"),
    ],
)
def test_orders_that_no_schema_takes_are_refused(body: dict[str, Any], words: str) -> None:
    with Replicate() as vendor:
        answer = ask(vendor, "POST", "/models/black-forest-labs/flux-schnell/predictions", body)

        assert answer.status_code == 422
        assert words in answer.json()["detail"]
        assert not vendor.predictions


def test_what_is_queued_comes_first_and_once_at_its_place() -> None:
    with Replicate() as vendor:
        vendor.next(throttled(5), at="/cancel").next(reply(500))

        assert ask(vendor, "GET", "/predictions/none").status_code == 500
        assert ask(vendor, "GET", "/predictions/none").status_code == 404
        assert ask(vendor, "POST", "/predictions/none/cancel").status_code == 429

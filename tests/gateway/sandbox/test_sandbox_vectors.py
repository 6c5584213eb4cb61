import base64
import json
import math
import struct

import pytest

from gateway.sandbox import vectors
from gateway.sandbox.failures import Refused


def ask(**fields: object) -> list[list[float]]:
    body = json.dumps({"model": "embedding", **fields}).encode()
    return [each["embedding"] for each in json.loads(vectors.answer(body))["data"]]


def test_the_same_text_is_the_same_vector_of_length_one() -> None:
    first, other, again = ask(input=["Hello", "there", "Hello"])

    assert first == again != other
    assert len(first) == vectors.DIMENSIONS
    assert math.isclose(sum(each * each for each in first), 1.0, rel_tol=1e-5)


def test_both_encodings_and_all_sizes_say_the_same() -> None:
    (numbers,) = ask(input="Hello", dimensions=8)
    body = {"model": "embedding", "input": "Hello", "dimensions": 8, "encoding_format": "base64"}
    told = json.loads(vectors.answer(json.dumps(body).encode()))

    assert list(struct.unpack("<8f", base64.b64decode(told["data"][0]["embedding"]))) == numbers
    assert told["usage"] == {"prompt_tokens": 1, "total_tokens": 1}
    assert len(ask(input=[[1, 2], [3]])) == 2
    assert len(ask(input=[1, 2])) == 1


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"model":"embedding","input":[]}', b'{"model":"other","input":"a"}']
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        vectors.answer(body)

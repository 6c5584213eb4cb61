"""Whatever comes: the guard answers or passes on, never crashes, and lets nothing forbidden by."""

from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccapi.core.errors import GatewayError
from ccapi.guard import headers, paths
from ccapi.guard.hosts import HostRule
from ccapi.guard.proxies import STEERING
from tests.guard.asgi_calls import Recording, call, guard, scope

MANY = settings(max_examples=400, deadline=None)
FEW = settings(max_examples=150, deadline=None)

_names = st.one_of(
    st.sampled_from(sorted(headers.SINGLE | STEERING)),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12).map(str.encode),
)
_values = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"chunked", b"5", b"0", b"api.example.com", b"gzip", b"10.0.0.1, 6.6.6.6"]),
)
_headers = st.lists(st.tuples(_names, _values), max_size=70)
_paths = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                b"/",
                b"models",
                b"v1",
                b"%2F",
                b"%2f",
                b"%3A",
                b"%25",
                b"..",
                b".",
                b"a",
                b"%00",
                b":",
            ]
        ),
        max_size=12,
    ).map(lambda pieces: b"/" + b"".join(pieces)),
)


@MANY
@given(_headers)
def test_headers_pass_only_within_the_rules(pairs: list[tuple[bytes, bytes]]) -> None:
    try:
        found = headers.check(pairs)
    except GatewayError:
        return

    names = [name for name, _ in pairs]
    assert len(pairs) <= headers.COUNT_MAX
    assert sum(len(name) + len(value) for name, value in pairs) <= headers.BYTES_MAX
    assert not any(b"_" in name for name in names)
    assert not any(byte < 0x20 or byte in (0x7F, 0x85) for _, value in pairs for byte in value)
    assert all(names.count(name) == 1 for name in headers.SINGLE.intersection(names))
    assert found == dict(pairs)


@MANY
@given(_paths)
def test_a_path_that_passes_decodes_to_one_without_surprises(raw: bytes) -> None:
    try:
        paths.check_path(raw)
    except GatewayError:
        return

    path = unquote_to_bytes(raw)
    segments = path.split(b"/")[1:]
    assert path.startswith(b"/")
    assert b"%" not in path
    assert b"\\" not in path
    assert all(0x20 < byte < 0x7F for byte in path)
    assert not {b".", b".."} & set(segments)
    assert b"" not in segments[:-1]
    # Decoding changes nothing of what the routes go by: it is within the model's name.
    if path != raw:
        assert raw.partition(b"models/")[0] == path.partition(b"models/")[0]
        assert b"%" not in raw.partition(b"models/")[0]


@MANY
@given(st.one_of(st.binary(max_size=60), st.from_regex(rb"[a-z.:\[\]0-9@/]{0,40}", fullmatch=True)))
def test_a_host_that_passes_is_ours(host: bytes) -> None:
    try:
        HostRule(["api.example.com", ".example.org"]).check(host)
    except GatewayError:
        return

    name = host.lower().partition(b":")[0].removesuffix(b".")
    assert name in (b"api.example.com", b"example.org") or name.endswith(b".example.org")


@FEW
@example([(b"origin", b"")], b"", b"", [])
@given(_headers, _paths, st.binary(max_size=30), st.lists(st.binary(max_size=80), max_size=4))
def test_every_request_is_answered_and_none_steers(
    pairs: list[tuple[bytes, bytes]], raw: bytes, query: bytes, pieces: list[bytes]
) -> None:
    app = Recording()
    asked: dict[str, Any] = scope("/", raw_path=raw, query_string=query, headers=pairs)

    answer = call(
        guard(app, cors_origins=["*"], trusted_proxies=["203.0.113.0/24"]), asked, *pieces
    )

    assert answer is not None
    assert answer.headers["x-request-id"]
    assert answer.status in (200, 204, 400, 413)
    assert len(app.body) <= 100 or b"transfer-encoding" not in dict(pairs)
    for reached in app.scopes:
        assert not STEERING.intersection(name for name, _ in reached["headers"])
        assert answer.status in (200, 413)

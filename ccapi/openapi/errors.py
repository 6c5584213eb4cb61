"""The tree of errors as OpenAPI: schemas with every code, one answer a status.

Statuses and codes are read from `ccapi.core.errors`, what they mean from `parts/errors.yaml` (a
test looks that none is missing), so a new class of error is in the document by itself.
"""

from collections.abc import Iterable, Iterator

from ccapi.core.errors import GatewayError
from ccapi.openapi.parts import Schema, load

Kind = type[GatewayError]

# Components that answer with a status; the first five are the published contract's names.
NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    402: "BillingError",
    429: "RateLimit",
    500: "InternalError",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    413: "RequestTooLarge",
    422: "Unprocessable",
    502: "UpstreamError",
    503: "Unavailable",
    504: "UpstreamTimeout",
}
RETRIES = ("Retry-After",)


def kinds(parent: Kind = GatewayError) -> Iterator[Kind]:
    """Every class that a client may be told of, the bases among them."""
    for kind in parent.__subclasses__():
        if kind.__module__ == GatewayError.__module__:
            yield kind
            yield from kinds(kind)


def by_status() -> dict[int, list[Kind]]:
    found: dict[int, list[Kind]] = {}
    for kind in kinds():
        found.setdefault(kind.status, []).append(kind)
    return dict(sorted(found.items()))


def codes(of: Iterable[Kind]) -> list[str]:
    """Each once, in the order of the tree."""
    return list(dict.fromkeys(kind.code for kind in of))


def meaning(code: str) -> str:
    """What to do about it, in a sentence or two; "" where nobody has written it yet."""
    return str(load("errors")["codes"].get(code, ""))


def explained(status: int) -> str:
    return str(load("errors")["statuses"].get(status, ""))


def schemas() -> dict[str, Schema]:
    """`ErrorObject` and `ErrorResponse`."""
    all_kinds = list(kinds())
    types = list(dict.fromkeys(kind.type for kind in all_kinds))
    return {
        "ErrorObject": {
            "type": "object",
            "required": ["message", "type", "code", "details"],
            "properties": {
                "message": {
                    "type": "string",
                    "description": "What happened, with which value, and what to do next.",
                },
                "type": {"type": "string", "enum": types},
                "code": {"type": "string", "enum": codes(all_kinds)},
                "details": {
                    "type": "object",
                    "additionalProperties": True,
                    "description": "Facts for programs; amounts are strings in US dollars.",
                },
                "param": {
                    "type": ["string", "null"],
                    "description": "The field at fault, on a 400: `messages[0].content`.",
                },
            },
        },
        "ErrorResponse": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"$ref": "#/components/schemas/ErrorObject"}},
        },
    }


def responses() -> dict[str, Schema]:
    """The answer of each status, in the CCAPI shape, by its component's name."""
    return {NAMES[status]: response(status, of) for status, of in by_status().items()}


def response(status: int, of: list[Kind]) -> Schema:
    told = narrowed("ErrorResponse", ("error", "code"), codes(of))
    return answer(status, of, told, example(of[0]))


def answer(status: int, of: Iterable[Kind], schema: Schema, shown: object) -> Schema:
    """An error answer of any protocol."""
    retries = status in (429, 503) or any(kind.default_retry_after for kind in of)
    headers = ["x-request-id", *(RETRIES if retries else ())]
    headers += ["x-should-retry"] if status == 402 else []
    listed = "".join(f"\n- `{code}`: {meaning(code)}" for code in codes(of))
    content: Schema = {"schema": schema} | ({"example": shown} if shown else {})
    return {
        "description": f"{explained(status)}\n{listed}",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {"application/json": content},
    }


def narrowed(name: str, path: tuple[str, ...], allowed: list[str]) -> Schema:
    """The component, with the field at this path one of these."""
    inner: Schema = {"enum": allowed}
    for step in reversed(path):
        inner = {"type": "object", "properties": {step: inner}}
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}, inner]}


def example(kind: Kind) -> object:
    shown = load("errors")["examples"].get(kind.code, {})
    return kind(**{"message": meaning(kind.code), **shown}).body()

"""The whole document, made once a process on the first request for it."""

from functools import cache

import orjson
import yaml
from django.conf import settings

from accounts.urls import urlpatterns as accounts_urls
from billing.urls import urlpatterns as billing_urls
from catalog.urls import urlpatterns as catalog_urls
from ccapi.openapi import chat, errors, free, rest
from ccapi.openapi.parts import Schema, load
from media_jobs.urls import urlpatterns as jobs_urls
from media_jobs.webhooks.urls import urlpatterns as webhooks_urls

VERSION = "3.1.0"


@cache
def current() -> Schema:
    """The whole document. Callers do not change it."""
    front: Schema = load("front")
    paths, schemas = rest.described(
        [*catalog_urls, *billing_urls, *accounts_urls, *jobs_urls, *webhooks_urls]
    )
    schemas = {
        **errors.schemas(),
        **chat.schemas(),
        **free.schemas(),
        **load("catalog")["schemas"],
        **load("images")["schemas"],
        **front["schemas"],
        **schemas,
    }
    return {
        "openapi": VERSION,
        "info": {**front["info"], "version": settings.CCAPI_VERSION},
        "servers": front["servers"],
        "security": [{name: []} for name in front["securitySchemes"]],
        "tags": front["tags"],
        "paths": {
            **chat.paths(),
            **free.paths(),
            **load("images")["paths"],
            **paths,
            **front["paths"],
        },
        "components": {
            "schemas": schemas,
            "responses": errors.responses(),
            "headers": {name: _header(told) for name, told in load("headers").items()},
            "securitySchemes": front["securitySchemes"],
        },
    }


def _header(told: Schema) -> Schema:
    schema = {name: value for name, value in told.items() if name != "description"}
    example = schema.pop("example", None)
    header: Schema = {"description": told["description"], "schema": schema}
    return header | ({"example": example} if example else {})


@cache
def as_json() -> bytes:
    return orjson.dumps(current(), option=orjson.OPT_INDENT_2)


class _Plain(yaml.SafeDumper):
    """Without anchors: parts are shared in memory, which no reader needs to know."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 — the base class's signature
        return True


@cache
def as_yaml() -> bytes:
    return yaml.dump(current(), Dumper=_Plain, sort_keys=False, allow_unicode=True).encode()

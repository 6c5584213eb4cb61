"""What each free route answers, as plain functions of what was asked and the catalog.

Counting tokens is `gateway.free.counting`.
"""

from collections.abc import Callable, Mapping

import msgspec

from accounts.types import Caller
from catalog.types import Snapshot
from ccapi.core.errors import GroupNotFound
from gateway import ports
from gateway.free import models
from gateway.free.names import Named, named, one
from gateway.free.paging import by_ids, by_token
from gateway.free.routes import FreeRoute, Name
from gateway.protocols.base import Body
from gateway.protocols.registry import CODECS
from gateway.protocols.shared import fields
from gateway.routing import groups

Json = dict[str, object]

# Clients look for a version that knows tools and thoughts; ours are those of about this one.
OLLAMA_VERSION = "0.12.6"
# What the routes of these two protocols can call.
CALLABLE = ("chat", "embedding")
LATEST = ":latest"  # what Ollama's clients put behind a name without a tag


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated request on a free route."""

    route: FreeRoute
    caller: Caller
    snapshot: Snapshot
    query: Mapping[str, str]
    body: Body

    def named(self) -> list[Named]:
        return named(self.snapshot, self.caller, self.route.group)

    def one(self, name: str) -> Named:
        return one(self.snapshot, self.caller, self.route.group, name)

    def callable(self) -> list[Named]:
        return [each for each in self.named() if each.model.type in CALLABLE]

    @property
    def is_claude(self) -> bool:
        return self.route.codec is CODECS["anthropic"]


def all_models(asked: Asked) -> Json:
    """OpenAI's and Claude's list, of one shape; the catalog's own where no group is asked for."""
    by_group = bool(asked.route.group) and not _is_default(asked)
    if not by_group and not asked.query.keys() & {"after_id", "before_id"}:
        query = ports.model_query(asked.query)
        listed = ports.model_list(asked.snapshot, query, asked.caller)
        return {**listed, "data": [_for_claude(asked, told) for told in _entries(listed)]}
    page = by_ids(asked.named(), asked.query)
    data: list[Json]
    if by_group:
        data = [models.openai(each) for each in page.items]
    else:
        data = [ports.model_summary(asked.snapshot, each.model) for each in page.items]
    return {
        "object": "list",
        "data": [_for_claude(asked, told) for told in data],
        "first_id": page.items[0].name if page.items else None,
        "last_id": page.items[-1].name if page.items else None,
        "has_more": page.more,
    }


def _is_default(asked: Asked) -> bool:
    """Whether the prefix is as good as none: `switch`, while no group has been made active."""
    snapshot, caller = asked.snapshot, asked.caller
    try:
        return groups.prefix_group(snapshot, caller, asked.route.group) is None
    except GroupNotFound:
        return False


def _entries(listed: Mapping[str, object]) -> list[Json]:
    data = listed["data"]
    assert isinstance(data, list)  # noqa: S101 — for mypy: it is one
    return data


def _for_claude(asked: Asked, told: Json) -> Json:
    """What only Claude's clients look for, beside what every client gets."""
    return {**told, "lifecycle": "active"} if asked.is_claude else told


def one_model(asked: Asked) -> Json:
    found = asked.one(asked.route.model)
    is_alias = found.name != found.model.id
    if asked.is_claude:
        return models.claude(found, found.name if is_alias else found.model.display_name)
    if is_alias:
        return models.openai(found)
    return ports.model_summary(asked.snapshot, found.model)


def gemini_models(asked: Asked) -> Json:
    page, token = by_token(asked.callable(), asked.query)
    told: Json = {"models": [models.gemini(each) for each in page.items]}
    return {**told, "nextPageToken": token} if token else told


def gemini_model(asked: Asked) -> Json:
    return models.gemini(asked.one(asked.route.model))


def tags(asked: Asked) -> Json:
    return {"models": [models.ollama(each) for each in asked.callable()]}


def show(asked: Asked) -> Json:
    """By `model`, or by `name`, as older clients say it."""
    name = fields.text(asked.body, "model") or fields.text(asked.body, "name")
    return models.ollama_shown(asked.one(fields.required(name or None, "model")))


def version(asked: Asked) -> Json:
    del asked
    return {"version": OLLAMA_VERSION}


def running(asked: Asked) -> Json:
    """What is in this machine's memory: nothing ever is."""
    del asked
    return {"models": []}


ANSWERS: dict[Name, Callable[[Asked], Json]] = {
    "models": all_models,
    "model": one_model,
    "gemini_models": gemini_models,
    "gemini_model": gemini_model,
    "tags": tags,
    "show": show,
    "version": version,
    "ps": running,
}

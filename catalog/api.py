"""The catalog's door: the functions that other apps may call. Values are in `catalog.types`."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from django.db import transaction

from catalog import exporter, importer
from catalog.file import document
from catalog.file.providers import is_base_url
from catalog.file.reading import DocumentError, Problem, Source, parse_yaml
from catalog.follower import close, current, current_sync
from catalog.groups.names import matches
from catalog.health import health_of, register_health, register_status
from catalog.listing import model_list, model_summary
from catalog.listing import parse as model_query
from catalog.models import Provider
from catalog.rates import price_version
from catalog.sandbox import with_number
from catalog.seeding import seed
from catalog.types import SANDBOXES, Changes, Model, Snapshot
from catalog.units import PER, unit_of
from ccapi.core.errors import ModelNotFound, ProviderNotFound

__all__ = [
    "PER",
    "DocumentError",
    "Problem",
    "close",
    "current",
    "current_sync",
    "export_document",
    "health_of",
    "import_document",
    "import_file",
    "import_text",
    "matches",
    "model_list",
    "model_query",
    "model_summary",
    "near_ids",
    "price_version",
    "register_health",
    "register_status",
    "resolve",
    "seed",
    "set_endpoint",
    "unit_of",
]

NAME_SHOWN = 200  # characters of a customer's text that an error repeats


def resolve(snapshot: Snapshot, name: str) -> Model:
    """The model of a catalog id, else of a bare name, else of a sandbox model with a number.

    Raises: ModelNotFound naming near ids.
    """
    model = snapshot.models.get(name)
    if model is not None:
        return model
    found = snapshot.bare_names.get(name)
    if found is not None:
        return snapshot.models[found]
    model = with_number(snapshot, name)
    if model is not None:
        return model
    shown = name[:NAME_SHOWN]
    near = near_ids(snapshot, shown)
    similar = f" Similar: {', '.join(near)}." if near else ""
    raise ModelNotFound(
        f"There is no model {shown!r}.{similar} See GET /v1/models.",
        param="model",
        details={"model": shown, "similar": near},
    )


def near_ids(snapshot: Snapshot, name: str) -> list[str]:
    """Up to three catalog ids that look like the name."""
    close_ids = difflib.get_close_matches(name, snapshot.models, n=3, cutoff=0.6)
    bare = difflib.get_close_matches(name, snapshot.bare_names, n=3, cutoff=0.6)
    found = [*close_ids, *(snapshot.bare_names[each] for each in bare)]
    return list(dict.fromkeys(found))[:3]


def import_file(
    path: str | Path, *, environ: Mapping[str, str] | None = None, actor: str = "import"
) -> Changes:
    """Take a catalog file over, whole. Raises: DocumentError naming lines and fields.

    `environ` is what `${NAME}` means in the file, by default this process's environment.
    """
    text = Path(path).read_text(encoding="utf-8")
    return import_text(text, environ=environ, actor=actor, told=f"file {Path(path).name}")


def import_text(
    text: str,
    *,
    environ: Mapping[str, str] | None = None,
    actor: str = "import",
    told: str = "file",
) -> Changes:
    """The same for the text of such a file. Raises: DocumentError."""
    data, source = parse_yaml(text)
    return _import(data, source, environ, actor, told)


def import_document(
    data: Mapping[str, object],
    *,
    environ: Mapping[str, str] | None = None,
    actor: str = "import",
) -> Changes:
    """The same for a mapping, where there are no lines to name. Raises: DocumentError."""
    return _import(data, Source(), environ, actor, "document")


def _import(
    data: object, source: Source, environ: Mapping[str, str] | None, actor: str, told: str
) -> Changes:
    variables = os.environ if environ is None else environ
    entries = document.read(data, source, variables, seed=False)
    return importer.apply(entries, source=told, actor=actor)


def export_document() -> dict[str, object]:
    """The whole catalog, in the form that `import_document` takes; keys are `keep`."""
    return exporter.document()


@transaction.atomic
def set_endpoint(provider_name: str, base_url: str | None) -> None:
    """Enable a provider at this address (the version part included), or disable it (None).

    Raises: ProviderNotFound; ValueError for what is no base URL.
    """
    if base_url is not None and not is_base_url(base_url):
        raise ValueError(f"{base_url!r} is no base URL.")
    for name, address in _together(provider_name, base_url).items():
        row = Provider.objects.filter(name=name).first()
        if row is None:
            raise ProviderNotFound(f"There is no provider {name!r}.")
        columns: dict[str, object] = {"enabled": address is not None}
        if address is not None:
            columns["base_url"] = address.rstrip("/")
        importer.write_columns(row, columns)
    transaction.on_commit(importer.announce)


def _together(provider_name: str, base_url: str | None) -> dict[str, str | None]:
    """The providers of one server and where each begins: the sandbox speaks every protocol."""
    if provider_name != "sandbox" or base_url is None:
        names = SANDBOXES if provider_name == "sandbox" else (provider_name,)
        return dict.fromkeys(names, base_url)
    root = base_url.rstrip("/").removesuffix(SANDBOXES["sandbox"])
    return {name: root + path for name, path in SANDBOXES.items()}

"""The catalog file: from YAML or a plain mapping to frozen values (`catalog.file.entries`).

Every mistake is named by line and field; a document with one is refused whole. What the database
says (does this provider exist, is this price new) is the importer's question.
"""

from collections.abc import Mapping
from decimal import Decimal

from catalog import units
from catalog.file.entries import Document
from catalog.file.groups import read_group
from catalog.file.models import read_model
from catalog.file.providers import limits, read_provider
from catalog.file.reading import Section, Source, refuse_repeats

NOT_YET = ("mcp_servers",)


def read(data: object, source: Source, environ: Mapping[str, str], *, seed: bool) -> Document:
    """The document. Raises: DocumentError naming everything that is wrong.

    `seed`: a provider whose environment variables are not set waits for them, rather than being an
    error of the file.
    """
    root = Section(data, (), source)
    document = Document(
        source=source,
        providers=tuple(
            read_provider(each, environ, seed=seed) for each in root.sections("providers")
        ),
        models=tuple(read_model(each) for each in root.sections("models")),
        groups=tuple(read_group(each) for each in root.sections("groups")),
        markup=root.parsed("markup", _markup),
        defaults=limits(root.section("defaults"), "default_", (600, 1_000_000, 100))
        if root.has("defaults")
        else None,
    )
    root.take("defaults")
    for name in NOT_YET:
        if root.take(name):
            root.problem(name, "is not supported by this version; take it out")
    root.close()
    refuse_repeats(source, [(entry.path, "name", entry.name) for entry in document.providers])
    refuse_repeats(source, [(entry.path, "id", entry.id) for entry in document.models])
    refuse_repeats(source, [(entry.path, "name", entry.name) for entry in document.groups])
    source.check()
    return document


def _markup(value: object) -> Decimal:
    number = units.price(value)
    if not 0 < number < 1000 or number != round(number, 6):
        raise ValueError(f"must be above 0 and below 1000, with at most 6 decimals, not {value!r}")
    return number

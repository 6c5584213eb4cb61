"""What no code says of itself, written by hand as YAML: protocols, the catalog, meanings of codes.

A file of a protocol has `operation` (how a chat route of it is described) and `schemas`; tests send
its examples to the running product and hold the answers against the schemas.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Schema = dict[str, Any]  # JSON: what OpenAPI is made of


@cache
def load(name: str) -> Schema:
    """A file of this folder, by its stem. Callers do not change it."""
    found: Schema = yaml.safe_load((files(__name__) / f"{name}.yaml").read_text())
    return found

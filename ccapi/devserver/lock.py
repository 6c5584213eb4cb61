"""`manage.py lock`: requirements/*.in → requirements/*.txt, with hashes and without addresses.

Pins that stand are kept; `--upgrade` renews them, `--upgrade-package NAME` one of them. Standard
library only, like the bootstrap, whose uv it uses.
"""

import subprocess

from ccapi.devserver.bootstrap import REQUIREMENTS, clean_environment, uv

# In order: a later file is compiled under the pins of an earlier one. The weights alone want no
# dependencies.
FILES: dict[str, list[str]] = {
    "boot": [],
    "base": [],
    "embedded": [],
    "dev": [],
    "tracing": [],
    "local": [],
    "weights": ["--no-deps"],
}
OPTIONS = (
    *("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header"),
)


def lock(arguments: list[str]) -> int:
    """Compile all. The arguments go to `uv pip compile`."""
    program = uv()
    for name, options in FILES.items():
        command = [*program, "pip", "compile", *OPTIONS, *options, *arguments]
        # From the clone's folder and with relative names: the comments name the files as a reader
        # does.
        files = [f"requirements/{name}.in", "-o", f"requirements/{name}.txt"]
        result = subprocess.run(
            [*command, *files], check=False, env=clean_environment(), cwd=REQUIREMENTS.parent
        )
        if result.returncode != 0:
            return result.returncode
    return 0

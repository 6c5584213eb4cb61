#!/usr/bin/env python3
"""The one command: `serve`, `test`, `db`, `lock`, and every Django command.

Runs on a bare Python: it makes its own environment first (`ccapi.devserver.bootstrap`). Nothing
else lives here.
"""

import sys

PYTHON_MIN = (3, 11)


def main() -> None:
    # Before any other import: the modules behind it do not even parse on an older Python.
    if sys.version_info < PYTHON_MIN:
        sys.exit(
            "CCAPI needs Python {}.{} or newer; {} is {}.{}.".format(
                *PYTHON_MIN, sys.executable, *sys.version_info[:2]
            )
        )
    if sys.platform == "win32":
        sys.exit("CCAPI runs on Linux and macOS; on Windows, inside WSL2.")
    from pathlib import Path

    root = str(Path(__file__).resolve().parent)
    if root not in sys.path:  # PYTHONSAFEPATH keeps a script's own folder out
        sys.path.insert(0, root)
    from ccapi.devserver import bootstrap

    bootstrap.enter(sys.argv[1:])
    from ccapi.devserver import commands

    sys.exit(commands.run(sys.argv[1:]))


if __name__ == "__main__":
    main()

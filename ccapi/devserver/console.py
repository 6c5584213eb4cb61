"""What is told to the person at the terminal: on stderr, since stdout is for `--json` and pipes."""

import sys


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

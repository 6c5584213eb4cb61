"""What an upstream request leaves out, told to the client in `x-ccapi-dropped`."""


class Dropped:
    """Names of what was left out, each once, in order."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self._names[name] = None

    def names(self) -> tuple[str, ...]:
        return tuple(self._names)

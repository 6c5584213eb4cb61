"""One value per event loop: pools, batchers and tasks belong to the loop that made them."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """Made on first use in each event loop; forgotten once its loop is closed.

    No weak references: such values refer to their loop, and would keep it alive for ever.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}

    def get(self) -> Value:
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            for other in [loop for loop in self._values if loop.is_closed()]:
                del self._values[other]
            value = self._values[loop] = self._make()
        return value

    def pop(self) -> Value | None:
        """Forget this loop's value; None if there is none."""
        return self._values.pop(asyncio.get_running_loop(), None)

    def values(self) -> list[Value]:
        """Those of the loops that are open, whoever asks."""
        return [value for loop, value in list(self._values.items()) if not loop.is_closed()]

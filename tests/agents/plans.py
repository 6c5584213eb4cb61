"""What the model of a session does: it plays an agent's turns, by what the agent's tools said.

Read two files at once, write a third with what stood in them, run a command on it, and end with
what the command printed. Each turn follows from the results that reached the provider, so a result
that was lost, mixed up or changed on its way leaves another file behind. How an agent's tools are
called is the business of its `Hands`.
"""

import itertools
import json
import re
from collections.abc import Callable
from typing import NamedTuple

from gateway.tool_compat import tags
from tests.agents.vendors.vendor import Call, Offered, Said, Seen

FIRST, SECOND, MADE = "first.txt", "second.txt", "made.txt"
ANSWERS_MAX = 12  # an agent whose results are lost would ask for ever
THOUGHT = "I'll think about it: “step by step”."
_KEPT = re.compile(r"(?:alpha|beta)-[0-9a-f]{12}")
_SUM = re.compile(r"\b[0-9a-f]{64}\b")
# But not the one by which the prompt shows how results come.
_COMPAT_RESULT = re.compile(r'<cs:tool_result id="(?!ID")[^"]+">(.*?)</cs:tool_result>', re.DOTALL)


_NUMBERS = itertools.count(1)  # of answers: vendors make unique ids of them


class Use(NamedTuple):
    """A tool to call: a dictionary of arguments, or the free text of a custom one."""

    tool: str
    given: dict[str, str] | str


class Hands(NamedTuple):
    """An agent's tools for a session, by what they do; paths are relative to `folder`."""

    read: Callable[[str], Use]
    write: Callable[[str, str], Use]
    shell: Callable[[str], Use]


class Turn(NamedTuple):
    """What decides the answer: so many results are there, and these uses follow."""

    uses: tuple[Use, ...]
    text: str = ""


def content_of(first: str, second: str) -> str:
    """Of the file that is made: what stood in the two, and what is easily broken on its way."""
    return f'{first} {second}\nit\'s "quoted" \\n \\\\ <b>&amp;</b> ${{HOME}} 日本 🎉\n'


def turn(hands: Hands, results: list[str]) -> Turn:
    match len(results):
        case 0:
            return Turn((hands.read(FIRST), hands.read(SECOND)), "I'll read both.")
        case 1:
            # An agent that makes one call a turn only.
            return Turn((hands.read(SECOND),))
        case 2:
            first, second = (_found(_KEPT, result) for result in results)
            return Turn((hands.write(MADE, content_of(first, second)),))
        case 3:
            return Turn((hands.shell(f"sha256sum {MADE}"),), "Now its sum.")
        case _:
            return Turn((), f"Done: {_found(_SUM, results[3])}")


def _found(what: re.Pattern[str], result: str) -> str:
    found = what.search(result)
    return found[0] if found else f"nothing in {result!r}"


class Model:
    """Of one session: says the turns in a vendor's words and remembers what it signed."""

    def __init__(
        self, hands: Callable[[set[str]], Hands], *, compat: set[str], signs: bool
    ) -> None:
        self._hands = hands
        self._compat = compat  # names of the tools that are told in the prompt; none: not so
        self._signs = signs
        self._answers = 0
        self.signed: list[str] = []

    def says(self, seen: Seen, model: str) -> Said:
        self._answers += 1
        number = next(_NUMBERS)
        results = seen.results
        if self._answers > ANSWERS_MAX:
            return Said(number, model, "This goes in circles.")
        if self._compat:
            results = [found for text in seen.texts for found in _COMPAT_RESULT.findall(text)]
        elif not seen.tools:
            return Said(number, model, "Hello.")  # something the agent asks beside its session
        offered = {tool.name.rpartition("__")[2]: tool for tool in seen.tools}
        decided = turn(self._hands(self._compat or set(offered)), results)
        if self._compat:
            return Said(number, model, "\n".join([decided.text, *map(_as_text, decided.uses)]))
        calls = tuple(
            _call(use, offered[use.tool], f"call_{number}_{position}")
            for position, use in enumerate(decided.uses)
        )
        if not (calls and self._signs):
            return Said(number, model, decided.text, calls, THOUGHT)
        self.signed.append(f"c2lnbmF0dXJl{number:04}")
        return Said(number, model, decided.text, calls, THOUGHT, self.signed[-1])


def _call(use: Use, tool: Offered, call_id: str) -> Call:
    given = use.given
    if tool.custom:
        arguments = given if isinstance(given, str) else json.dumps(given)
    else:
        # What is free text for OpenAI is one argument for others.
        arguments = json.dumps({"input": given} if isinstance(given, str) else given)
    return Call(call_id, tool.name, arguments, custom=tool.custom, namespace=tool.namespace)


def _as_text(use: Use) -> str:
    """A call as the prompt of compat mode teaches it."""
    given = {"input": use.given} if isinstance(use.given, str) else use.given
    arguments = "".join(
        f'<arg name="{name}" type="string">{tags.escape(value)}</arg>'
        for name, value in given.items()
    )
    return f"<cs:tool_use>\n<name>{use.tool}</name>\n<args>\n{arguments}\n</args>\n</cs:tool_use>"

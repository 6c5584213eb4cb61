"""What is ordered from the room, and what it tells of a session. JSON lines between processes."""

import msgspec

from tests.fakes.upstream import Recorded

# What all providers call their model: Claude Code keeps thoughts of the model it asked for alone.
MODEL = "claude-opus-4-8"


class Order(msgspec.Struct, frozen=True):
    """A session: an agent, a model as it is named to the agent, a prefix, and who answers."""

    agent: str
    vendor: str
    model: str
    prefix: str = ""
    compat: bool = False


class Report(msgspec.Struct, frozen=True):
    exit_code: int
    stdout: str
    stderr: str
    given: list[str]  # what stood in the two files
    made: str | None  # content of the file that the agent was to write
    asked: list[Recorded]  # what the agent sent
    told: str  # all that it was answered, with heads
    reached: list[Recorded]  # what reached the provider
    signed: list[str]  # signatures that the provider gave
    generations: list[dict[str, object]]
    charged: int  # nano-dollars
    audit: str
    interfaces: list[str]  # of the network that all of it had
    seconds: float

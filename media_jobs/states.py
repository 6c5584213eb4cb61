"""The life of a job: which state may follow which. The one table; every change is made by it.

A change is an UPDATE that names the states it may come from (`sources`) and the fence of whoever
makes it, so that it happens or does not, whatever others do at the same moment. An end has no way
out of it.
"""

from media_jobs.types import State

TABLE: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.PROCESSING, State.FAILED, State.CANCELLED}),
    # A lease that ended, a provider that is asked again: still processing.
    State.PROCESSING: frozenset({State.PROCESSING, State.COMPLETED, State.FAILED, State.CANCELLED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
ENDS = frozenset(state for state, following in TABLE.items() if not following)
OPEN = frozenset(TABLE) - ENDS


def sources(target: State) -> list[State]:
    """The states from which a job may come into this one."""
    return [state for state, following in TABLE.items() if target in following]

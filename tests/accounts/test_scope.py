"""No key gives more than it has: checked against what each of two keys would let happen."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from accounts.scope import Scope, excess
from accounts.types import Limits
from ccapi.core import peer

START = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = ("a/x", "b/y", "c/z")
EVER = (*MODELS, "made/later")  # a key for every model is for those to come, too
# Each of the larger ones is no more than the addresses named after it, and those in none.
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "2001:db8::7")
PLACES = (
    "10.0.0.1",
    "10.1.0.1",
    "10.1.2.3",
    "2001:db8::1",
    "2001:db8::7",
    "::ffff:10.0.0.1",
    "8.8.8.8",
)
numbers = st.integers(min_value=0, max_value=3)
scopes = st.builds(
    Scope,
    allowed_models=st.frozensets(st.sampled_from(MODELS)),
    allowed_ips=st.lists(st.sampled_from(NETWORKS), unique=True).map(tuple),
    limits=st.builds(Limits, rpm=numbers, tpm=numbers, concurrent=numbers),
    expires_at=st.none() | st.integers(0, 3).map(lambda day: START + timedelta(days=day)),
    manages_keys=st.booleans(),
)


def possibilities(scope: Scope) -> set[tuple[str, object]]:
    """Everything that a key of this scope could be seen to do, in a world of few values."""
    done: set[tuple[str, object]] = {
        ("call", model)
        for model in EVER
        if not scope.allowed_models or model in scope.allowed_models
    }
    networks = [peer.network(each) for each in scope.allowed_ips]
    for place in PLACES:
        address = peer.parse(place)
        assert address is not None
        if not networks or any(address in network for network in networks):
            done.add(("from", place))
    for name in ("rpm", "tpm", "concurrent"):
        most = getattr(scope.limits, name)
        done |= {(name, used) for used in range(6) if not most or used <= most}
    ends = scope.expires_at
    done |= {("day", day) for day in range(6) if ends is None or START + timedelta(days=day) < ends}
    return done | ({("manage", None)} if scope.manages_keys else set())


@examples(deadline=None)  # the machine may be busy
@given(scopes, scopes)
def test_a_child_is_within_bounds_exactly_if_it_can_do_nothing_that_its_creator_cannot(
    child: Scope, creator: Scope
) -> None:
    assert (excess(child, creator) is None) == (possibilities(child) <= possibilities(creator))


@examples(deadline=None)  # the machine may be busy
@given(scopes)
def test_every_scope_is_within_itself(scope: Scope) -> None:
    assert excess(scope, scope) is None


@examples(deadline=None)  # the machine may be busy
@given(scopes, scopes, scopes)
def test_a_grandchild_is_within_its_grandparent(first: Scope, second: Scope, third: Scope) -> None:
    if excess(second, first) is None and excess(third, second) is None:
        assert excess(third, first) is None


def test_an_excess_names_its_field() -> None:
    creator = Scope(
        allowed_models=frozenset({"a/x"}),
        limits=Limits(rpm=10),
        expires_at=START,
    )
    child = Scope(allowed_models=frozenset({"a/x"}), limits=Limits(rpm=5), expires_at=START)

    def field(**changes: object) -> str:
        values = {name: getattr(child, name) for name in Scope.__struct_fields__}
        found = excess(Scope(**{**values, **changes}), creator)
        assert found is not None
        return found.param

    assert field(allowed_models=frozenset()) == "allowed_models"
    assert field(allowed_models=frozenset({"b/y"})) == "allowed_models"
    assert field(limits=Limits()) == "limits.rpm"
    assert field(limits=Limits(rpm=11)) == "limits.rpm"
    assert field(expires_at=None) == "expires_at"
    assert field(manages_keys=True) == "manages_keys"

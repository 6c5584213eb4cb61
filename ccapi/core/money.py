"""Money: integers of nano-dollars (1e-9 USD) everywhere inside, dollar strings at the edge.

Amounts are never floats. Prices are pico-dollars (1e-12 USD) per `per` units, see `catalog.types`.
"""

from decimal import Decimal, InvalidOperation
from typing import NewType

NanoUSD = NewType("NanoUSD", int)

NANO_PER_USD = 1_000_000_000
NANO_MAX = 9_000_000_000 * NANO_PER_USD  # fits BIGINT with room for one addition


def dollars(amount: int) -> str:
    """`1234567890` → `"1.23456789"`: exact, without an exponent, at least two decimals."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, nano = divmod(amount, NANO_PER_USD)
    fraction = f"{nano:09d}".rstrip("0")
    return f"{sign}{whole}.{fraction:0<2}"


def dollar_number(amount: int) -> str:
    """The same amount as a JSON number literal without superfluous digits.

    `0.000018`, `0`, `12`.
    """
    return dollars(amount).rstrip("0").rstrip(".") if amount else "0"


def nano(text: str | Decimal) -> NanoUSD:
    """Dollars (`"25.00"`) → nano-dollars.

    Raises: ValueError if it is no number, finer than a nano-dollar, or beyond NANO_MAX.
    """
    try:
        value = Decimal(text) * NANO_PER_USD
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"{text!r} is not an amount in dollars.") from error
    if not value.is_finite() or value != value.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of nano-dollars.")
    if abs(value) > NANO_MAX:
        raise ValueError(f"{text!r} is beyond {dollars(NANO_MAX)} dollars.")
    return NanoUSD(int(value))

"""Images and sounds that are no base64: refused, not a fault of the sandbox."""

import pytest

from gateway.sandbox.answers import described
from gateway.sandbox.failures import Refused


@pytest.mark.parametrize("data", ["a", "####", "úéñä", "\ud800"])
def test_data_that_is_no_base64_is_refused(data: str) -> None:
    with pytest.raises(Refused):
        described("image/png", data)

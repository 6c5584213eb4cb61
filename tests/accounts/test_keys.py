import re

from hypothesis import given
from hypothesis import strategies as st

from accounts import keys
from ccapi.core.ids import ALPHABET

PEPPER = "a pepper of tests"


def test_a_key_looks_as_published() -> None:
    secret = keys.make()

    assert re.fullmatch(r"sk-cc-[0-9A-Za-z]{46}", secret.text)
    assert secret.prefix == secret.text[6:14]
    assert secret.last4 == secret.text[-4:]


def test_what_was_made_is_parsed_back() -> None:
    for _ in range(100):
        secret = keys.make()
        assert keys.parse(secret.text) == secret


@given(st.integers(0, 51), st.characters(codec="utf-8"))
def test_the_checksum_catches_every_change_of_one_character(place: int, character: str) -> None:
    text = keys.make().text
    changed = text[:place] + character + text[place + 1 :]

    assert keys.is_well_formed(changed) == (changed == text)


@given(st.integers(0, 51), st.sampled_from(ALPHABET))
def test_the_checksum_catches_every_plausible_typing_mistake(place: int, character: str) -> None:
    text = keys.make().text
    changed = text[:place] + character + text[place + 1 :]

    assert keys.is_well_formed(changed) == (changed == text)


@given(st.integers(6, 50))
def test_the_checksum_catches_two_characters_exchanged(place: int) -> None:
    text = keys.make().text
    changed = text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    assert keys.is_well_formed(changed) == (changed == text)


@given(st.text())
def test_any_text_is_refused_without_an_exception(text: str) -> None:
    assert keys.parse(text) is None


def test_no_newline_passes_at_the_end() -> None:
    assert not keys.is_well_formed(keys.make().text + "\n")


def test_the_mac_needs_the_pepper_and_the_whole_secret() -> None:
    text = keys.make().text

    assert len(keys.mac(text, PEPPER)) == 32
    assert keys.mac(text, PEPPER) == keys.mac(text, PEPPER)
    assert keys.mac(text, PEPPER) != keys.mac(text, PEPPER + "x")
    assert keys.mac(text, PEPPER) != keys.mac(text[:-1], PEPPER)


def test_a_secret_never_shows_in_its_repr() -> None:
    secret = keys.make()

    for shown in (repr(secret), str(secret), f"{secret}", repr([secret])):
        assert secret.text not in shown
        assert secret.text[14:-4] not in shown

"""Upstream keys at rest: sealed (`ccapi.core.sealing`) and bound to their row."""

from ccapi.core import sealing
from ccapi.core.sealing import SealError as SecretError
from ccapi.core.sealing import place

__all__ = ["SecretError", "decrypt", "encrypt", "key_place", "place"]

LABEL = b"ccapi/catalog/upstream-key/v1"


def key_place(pk: object, provider_id: int) -> bytes:
    """The place of an upstream key; the provider counts: its key cannot be handed to another."""
    return place("upstream_key", pk, "ciphertext", provider_id)


def encrypt(secret: str, where: bytes) -> bytes:
    return sealing.seal(secret.encode(), where, label=LABEL)


def decrypt(ciphertext: bytes, where: bytes) -> str:
    """The secret again. Raises: SecretError, naming the key id where that is the reason."""
    return sealing.unseal(ciphertext, where, label=LABEL).decode()

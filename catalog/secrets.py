"""Upstream keys at rest: AES-256-GCM under a key derived from the master key, bound to their row.

A ciphertext moved to another row, column or table does not open: where it belongs is
authenticated with it. Layout: version (1 byte), id of the encrypting key (4), nonce (12),
ciphertext with its tag.
"""

import os
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

VERSION = b"\x01"
LABEL = b"ccapi/catalog/upstream-key/v1"
KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES = 4, 12, 16
HEAD_BYTES = len(VERSION) + KEY_ID_BYTES + NONCE_BYTES


class SecretError(ValueError):
    """A stored secret that does not open: another master key, another row, or damage."""


def place(table: str, pk: object, column: str, *owner: object) -> bytes:
    """What a ciphertext is bound to: `table‖pk‖column`, and the row that it belongs to."""
    return b"\x00".join(str(part).encode() for part in (table, pk, column, *owner))


def key_place(pk: object, provider_id: int) -> bytes:
    """The place of an upstream key; the provider counts: its key cannot be handed to another."""
    return place("upstream_key", pk, "ciphertext", provider_id)


def encrypt(secret: str, where: bytes) -> bytes:
    key, key_id = _key(settings.CCAPI_MASTER_KEY)
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + key_id + nonce + AESGCM(key).encrypt(nonce, secret.encode(), where)


def decrypt(ciphertext: bytes, where: bytes) -> str:
    """The secret again. Raises: SecretError, naming the key id where that is the reason."""
    key, key_id = _key(settings.CCAPI_MASTER_KEY)
    if len(ciphertext) < HEAD_BYTES + TAG_BYTES or ciphertext[:1] != VERSION:
        raise SecretError("The stored secret is damaged.")
    used = ciphertext[1 : 1 + KEY_ID_BYTES]
    if used != key_id:
        raise SecretError(
            f"The stored secret was encrypted under master key {used.hex()}; this one is"
            f" {key_id.hex()}. Enter the secret again, or start with the other CCAPI_MASTER_KEY."
        )
    nonce = ciphertext[1 + KEY_ID_BYTES : HEAD_BYTES]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext[HEAD_BYTES:], where).decode()
    except InvalidTag as error:
        raise SecretError("The stored secret does not belong to this row.") from error


@lru_cache(maxsize=4)
def _key(master: str) -> tuple[bytes, bytes]:
    """The encryption key, and the id by which a ciphertext names it."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=LABEL).derive(master.encode())
    return key, sha256(LABEL + key).digest()[:KEY_ID_BYTES]

"""Bytes at rest that only we can read: AES-256-GCM under a key of the master key, bound to a place.

A ciphertext moved to another row, column or table does not open: where it belongs (`place`) is
authenticated with it. Each kind of secret has a label, and so a key of its own. Layout: version
(1 byte), id of the encrypting key (4), nonce (12), ciphertext with its tag.
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
KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES = 4, 12, 16
HEAD_BYTES = len(VERSION) + KEY_ID_BYTES + NONCE_BYTES


class SealError(ValueError):
    """Something sealed that does not open: another master key, another row, or damage."""


def place(table: str, pk: object, column: str, *owner: object) -> bytes:
    """What a ciphertext is bound to: `table‖pk‖column`, and the row that it belongs to."""
    return b"\x00".join(str(part).encode() for part in (table, pk, column, *owner))


def seal(data: bytes, where: bytes, *, label: bytes) -> bytes:
    key, key_id = derived(settings.CCAPI_MASTER_KEY, label)
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + key_id + nonce + AESGCM(key).encrypt(nonce, data, where)


def unseal(ciphertext: bytes, where: bytes, *, label: bytes) -> bytes:
    """The data again. Raises: SealError, naming the key id where that is the reason."""
    key, key_id = derived(settings.CCAPI_MASTER_KEY, label)
    if len(ciphertext) < HEAD_BYTES + TAG_BYTES or ciphertext[:1] != VERSION:
        raise SealError("The stored secret is damaged.")
    used = ciphertext[1 : 1 + KEY_ID_BYTES]
    if used != key_id:
        raise SealError(
            f"The stored secret was encrypted under master key {used.hex()}; this one is"
            f" {key_id.hex()}. Enter the secret again, or start with the other CCAPI_MASTER_KEY."
        )
    nonce = ciphertext[1 + KEY_ID_BYTES : HEAD_BYTES]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext[HEAD_BYTES:], where)
    except InvalidTag as error:
        raise SealError("The stored secret does not belong to this row.") from error


@lru_cache(maxsize=16)
def derived(master: str, label: bytes) -> tuple[bytes, bytes]:
    """The key of this label, and the id by which a ciphertext names it."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(master.encode())
    return key, sha256(label + key).digest()[:KEY_ID_BYTES]

"""A GitHub App's way to a token that lives for an hour and is good for one repository: a signed word for it, RS256.

Rule of this room: the key is read for one signature and not kept. The signature is made here, with Python's own integers: one an
hour is no reason for a cryptography package of nine megabytes. It is made blinded, so that its time tells nothing of the key, and
looked at before it is given away, so that a slip of the machine does not tell it either.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import secrets
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from penstock_agent_exec.forge import ForgeAuthRefused

KEY_BYTES_MAX: Final = 32 * 1024
BITS_MIN: Final = 2_048
JWT_SECONDS: Final = 540
"""GitHub takes ten minutes at most."""
CLOCK_SECONDS: Final = 60
"""So far may our clock be ahead of GitHub's."""

_SHA256: Final = bytes.fromhex("3031300d060960864801650304020105000420")
_PKCS8: Final = "PRIVATE KEY"
_PKCS1: Final = "RSA PRIVATE KEY"


class RsaKey(NamedTuple):
    """Modulus, public and private exponent."""

    n: int
    e: int
    d: int


def app_jwt(app_id: str, key: RsaKey, now: float) -> str:
    """Says for some minutes from `now` (seconds since 1970) that we are this app."""
    claims = {"iat": int(now) - CLOCK_SECONDS, "exp": int(now) + JWT_SECONDS - CLOCK_SECONDS, "iss": app_id}
    said = f"{_url64(msgspec.json.encode({'alg': 'RS256', 'typ': 'JWT'}))}.{_url64(msgspec.json.encode(claims))}"
    return f"{said}.{_url64(sign(key, said.encode()))}"


def read_key(path: Path) -> RsaKey:
    """The key in a PEM file, as GitHub gives it (PKCS #1) or wrapped (PKCS #8). Raises ForgeAuthRefused, without its content."""
    try:
        content = path.read_bytes()[: KEY_BYTES_MAX + 1]
    except OSError as error:
        raise ForgeAuthRefused(f"the app's private_key_file {path} cannot be read: {error.strerror}") from error
    try:
        return _key(content)
    except (ValueError, IndexError, binascii.Error) as error:
        raise ForgeAuthRefused(
            f"the app's private_key_file {path} holds no RSA key of {BITS_MIN} bits or more"
        ) from error


def sign(key: RsaKey, message: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256."""
    size = (key.n.bit_length() + 7) // 8
    told = _SHA256 + hashlib.sha256(message).digest()
    padded = int.from_bytes(b"\x00\x01" + b"\xff" * (size - len(told) - 3) + b"\x00" + told)
    blind = _coprime(key.n)
    signed = pow(padded * pow(blind, key.e, key.n), key.d, key.n) * pow(blind, -1, key.n) % key.n
    if pow(signed, key.e, key.n) != padded:
        raise ForgeAuthRefused("the app's private key does not fit together: create a new one")
    return signed.to_bytes(size)


def _coprime(n: int) -> int:
    # All but one in 2^1000 are.
    while True:
        blind = secrets.randbelow(n - 3) + 2
        if math.gcd(blind, n) == 1:
            return blind


def _key(content: bytes) -> RsaKey:
    text = content.decode("ascii")
    for label in (_PKCS1, _PKCS8):
        begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
        if begin in text and end in text:
            der = base64.b64decode("".join(text.split(begin, 1)[1].split(end, 1)[0].split()), validate=True)
            return _checked(_numbers(der if label == _PKCS1 else _unwrapped(der)))
    raise ValueError


def _unwrapped(der: bytes) -> bytes:
    """PKCS #8: version, algorithm, and the key of PKCS #1 as bytes."""
    inner, _ = _item(der, 0x30)
    _, rest = _item(inner, 0x02)
    _, rest = _item(rest, 0x30)
    key, _ = _item(rest, 0x04)
    return key


def _numbers(der: bytes) -> RsaKey:
    rest, _ = _item(der, 0x30)
    found = []
    for _ in range(4):  # version, n, e, d
        number, rest = _item(rest, 0x02)
        found.append(int.from_bytes(number))
    return RsaKey(*found[1:])


def _checked(key: RsaKey) -> RsaKey:
    if key.n.bit_length() < BITS_MIN or not 3 <= key.e < key.n or not 1 < key.d < key.n:
        raise ValueError
    return key


def _item(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first item, and what follows it. Raises ValueError, IndexError."""
    if der[0] != tag:
        raise ValueError
    length, start = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 3:
            raise ValueError
        length, start = int.from_bytes(der[2 : 2 + count]), 2 + count
    if start + length > len(der):
        raise ValueError
    return der[start : start + length], der[start + length :]


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

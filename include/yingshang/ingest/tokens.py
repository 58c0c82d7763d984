"""Direct identifiers of persons become keyed tokens before anything is landed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from yingshang.secrets import KeyRing

BLOCK = 64


def token(column: pl.Expr, ring: KeyRing, pii: str) -> pl.Expr:
    """``<key id>:<hex HMAC-SHA256>`` of a text column; null stays null.

    Surrounding blanks are not part of the value, nor is the case of an identity number's letter (X, x).
    HMAC (RFC 2104) is written out of SHA-256, whole columns at a time, since keys are bytes and no text.
    """
    import polars as pl

    value = column.str.strip_chars()
    if pii == "person_id":
        value = value.str.to_uppercase()
    inner_pad, outer_pad = _pads(ring.active_key)
    inner = _sha256(pl.lit(inner_pad) + value.cast(pl.Binary))
    outer = _sha256(pl.lit(outer_pad) + inner.str.decode("hex"))
    return pl.lit(f"{ring.active}:") + outer


def _sha256(column: pl.Expr) -> pl.Expr:
    import polars_hash

    return polars_hash.CryptographicHashingNameSpace(column).sha2_256()


def _pads(key: bytes) -> tuple[bytes, bytes]:
    import hashlib

    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)

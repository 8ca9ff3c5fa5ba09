"""A commitment to a Dataset's content that tells nothing about it: a plain hash of a small table confirms guesses."""

from __future__ import annotations

import hashlib
import hmac

from synthema_core.canonical import canonical


def commitment(salt: bytes, content_sha256: str, schema_digest: str) -> str:
    """HMAC-SHA256 under a salt that never leaves the site, 64 hexadecimal digits."""
    covered = canonical({"content": content_sha256, "schema": schema_digest})
    return hmac.new(salt, covered, hashlib.sha256).hexdigest()


def output_commitment(salt: bytes, content_sha256: str, plan_digest: str) -> str:
    """The same for numbers that wait for a release decision."""
    covered = canonical({"output": content_sha256, "plan": plan_digest})
    return hmac.new(salt, covered, hashlib.sha256).hexdigest()


def block_key(salt: bytes) -> bytes:
    """The key by which a site's patients are put into blocks; the same for every Plan."""
    return hmac.digest(salt, b"synthema/blocks", hashlib.sha256)


def bounding_key(salt: bytes) -> bytes:
    """The key by which a site chooses among a patient's rows; the same for every Plan."""
    return hmac.digest(salt, b"synthema/bounding", hashlib.sha256)

"""DKIM key records (RFC 6376 §3.6.1, RFC 8301, RFC 8463)."""

import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from app.protocols import tags
from app.protocols.dkim import rsa_keys

VERSION = "DKIM1"
MAX_KEY_BYTES = 8192  # decoded; no verifier accepts a larger key

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # RFC 6376 §3.2
_EMPTY_TAG = re.compile(r"(?:^|;)[ \t\r\n]*+;")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_SPACE = re.compile(r"[ \t\r\n]+")
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 §4


class NotDkim(ValueError):
    """The text is not a DKIM key record, so a verifier discards it."""


class Unusable(ValueError):
    """A verifier finds the DKIM key record but cannot use it, so signatures fail.

    code  ``syntax``, ``version_not_first``, ``duplicate_tag``, ``key_missing``,
          ``key_type_unknown``, ``key_corrupt``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class KeyType(StrEnum):
    """The algorithm of the key (tag ``k``)."""

    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class Key:
    """One DKIM key.

    bits      size of the RSA modulus; 256 for Ed25519; 0 if revoked
    revoked   ``p`` is empty
    testing   ``t=y``: verifiers treat signed mail like unsigned mail
    strict    ``t=s``: the domain of ``i=`` must be that of ``d=``
    hashes    tag ``h`` in lower case; empty: any hash
    services  tag ``s`` in lower case; ``("*",)`` if absent
    notes     tag ``n``
    problems  what verifiers ignore
    digest    SHA-256 of the decoded key in hexadecimal; of the empty string if revoked
    """

    key_type: KeyType
    bits: int
    revoked: bool = False
    testing: bool = False
    strict: bool = False
    hashes: tuple[str, ...] = ()
    services: tuple[str, ...] = ("*",)
    notes: str = ""
    problems: tuple[tags.Problem, ...] = ()
    digest: str = ""

    @property
    def is_sha1_only(self) -> bool:
        """Whether the key allows SHA-1 only, which verifiers no longer accept (RFC 8301 §3.1)."""
        return self.hashes != () and "sha256" not in self.hashes and "sha1" in self.hashes

    @property
    def is_for_mail(self) -> bool:
        """Whether the key may sign email (tag ``s``)."""
        return "*" in self.services or "email" in self.services


def is_record(text: str) -> bool:
    """Whether the TXT value is a DKIM key: it has ``v=DKIM1``, or no version and a ``p``."""
    pairs = tags.split(text)
    versions = [value for name, value in pairs if name == "v"]
    return VERSION in versions if versions else any(name == "p" for name, _ in pairs)


def parse_record(text: str) -> Key:
    """The key in one TXT value at ``<selector>._domainkey.<domain>``, as a verifier reads it.

    text    the RR's character-strings, joined without a separator
    raises  NotDkim, Unusable
    source  RFC 6376 §3.6.1 (unknown tags are ignored)
    """
    if not is_record(text):
        raise NotDkim("not a DKIM key: it has neither v=DKIM1 nor a p tag")
    values = _tag_list(text)
    key_type = tags.lowered(values.get("k", "rsa"))
    if key_type not in list(KeyType):
        raise Unusable("key_type_unknown", f"key type {key_type[:40]!r} is not supported")
    if "p" not in values:
        raise Unusable("key_missing", "tag p is required")
    encoded = _SPACE.sub("", values["p"])
    octets = _octets(encoded) if encoded else b""
    flags = tags.items(tags.lowered(values.get("t", "")))
    hashes = tuple(map(tags.lowered, tags.items(values.get("h", ""))))
    return Key(
        key_type=KeyType(key_type),
        bits=_bits(KeyType(key_type), octets) if octets else 0,
        revoked=not encoded,
        testing="y" in flags,
        strict="s" in flags,
        hashes=hashes,
        services=tuple(map(tags.lowered, tags.items(values.get("s", "*")))) or ("*",),
        notes=values.get("n", ""),
        problems=tuple(_unknown_hashes(hashes)),
        digest=hashlib.sha256(octets).hexdigest(),
    )


def _tag_list(text: str) -> dict[str, str]:
    """The tags by case-sensitive name; one syntax error makes the whole list invalid (§3.2)."""
    pairs = tags.split(text)
    if _EMPTY_TAG.search(text):
        raise Unusable("syntax", "a semicolon too many")
    for name, value in pairs:
        if not _NAME.fullmatch(name):
            raise Unusable("syntax", f"not a tag: {(name or value)[:40]!r}")
    if repeated := tags.repeated(name for name, _ in pairs):
        raise Unusable("duplicate_tag", f"tag {repeated[0][:40]} occurs more than once")
    values = dict(pairs)
    if "v" in values and pairs[0] != ("v", VERSION):
        raise Unusable("version_not_first", f"v={VERSION} must be the first tag")
    return values


def _octets(encoded: str) -> bytes:
    if not _BASE64.fullmatch(encoded):
        raise Unusable("key_corrupt", "p is not valid base64")
    try:
        key = binascii.a2b_base64(encoded)
    except binascii.Error:
        raise Unusable("key_corrupt", "p is not valid base64: characters are missing") from None
    if len(key) > MAX_KEY_BYTES:
        raise Unusable("key_corrupt", f"p has more than {MAX_KEY_BYTES} bytes")
    return key


def _bits(key_type: KeyType, key: bytes) -> int:
    if key_type is KeyType.ED25519:
        return _ed25519_bits(key)
    try:
        return rsa_keys.modulus_bits(key)
    except rsa_keys.NotRsa as error:
        raise Unusable("key_corrupt", str(error)) from None


def _ed25519_bits(key: bytes) -> int:
    if key.startswith(_ED25519_SPKI):
        raise Unusable(
            "key_corrupt",
            "p is a SubjectPublicKeyInfo, but an Ed25519 key must be published as 32 raw bytes",
        )
    if len(key) != 32:
        raise Unusable("key_corrupt", f"an Ed25519 key has 32 bytes, this one has {len(key)}")
    return 256


def _unknown_hashes(hashes: tuple[str, ...]) -> list[tags.Problem]:
    return [
        tags.Problem("h", name, "unknown hash algorithm, which verifiers ignore")
        for name in hashes
        if name not in ("sha1", "sha256")
    ]

"""Verification of DKIM signatures with a known key (RFC 6376 §6.1), computed by dkimpy."""

import binascii
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import dkim as dkimpy

from app.protocols import dkim
from app.protocols.mail import mime

MIN_BITS, MAX_BITS = 1024, 4096  # RFC 8301 §3.2
# dkimpy takes time that grows with the square of each of these.
MAX_BLANKS = 1_000  # spaces and tabs in one run
MAX_HEADER_BLANKS = 100  # white space in one run of the header
MAX_HEADER_LINES = 5_000

_OTHER_BODY = "body hash mismatch"  # the only ValidationError about the message itself
_BLANKS = re.compile(rb"[ \t]+")
_HEADER_BLANKS = re.compile(rb"\s+")

_FAILURES = (
    *(dkimpy.DKIMException, binascii.Error, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, AssertionError),  # what dkimpy is known to raise on malformed input
)


class Verdict(StrEnum):
    """The result of verifying one signature.

    VALID    the signature matches the message
    BROKEN   the owner of the key did not sign this body and header
    UNKNOWN  no statement: the key may not be used, or the signature is expired or unreadable
    """

    VALID = "valid"
    BROKEN = "broken"
    UNKNOWN = "unknown"


def verify(mail: bytes, index: int, key_record: str) -> Verdict:
    """The verdict on the DKIM-Signature field with this index.

    mail        the message as received
    key_record  the TXT value at the signature's key name
    """
    try:
        key = dkim.parse_record(key_record)
    except (dkim.NotDkim, dkim.Unusable):
        return Verdict.UNKNOWN
    if key.revoked or key.key_type is not dkim.KeyType.RSA or key.testing:
        return Verdict.UNKNOWN
    if not MIN_BITS <= key.bits <= MAX_BITS or not _is_cheap(mail):
        return Verdict.UNKNOWN

    def look_up(_name: bytes, timeout: int = 0) -> bytes:
        return key_record.encode("ascii", "replace")

    verifier: Any = dkimpy.DKIM(mail, minkey=MIN_BITS, tlsrpt=True)
    try:
        is_valid = verifier.verify(index, dnsfunc=look_up)
    except dkimpy.ValidationError as error:
        return Verdict.BROKEN if str(error).startswith(_OTHER_BODY) else Verdict.UNKNOWN
    except _FAILURES:
        return Verdict.UNKNOWN
    if is_valid:
        return Verdict.VALID
    return Verdict.BROKEN if hasattr(verifier, "signed_headers") else Verdict.UNKNOWN


def _is_cheap(mail: bytes) -> bool:
    """Whether dkimpy verifies the message in time proportional to its size."""
    header = mime.header_block(mail)
    return (
        header.count(b"\n") <= MAX_HEADER_LINES
        and _longest(_HEADER_BLANKS.finditer(header)) <= MAX_HEADER_BLANKS
        and _longest(_BLANKS.finditer(mail)) <= MAX_BLANKS
    )


def _longest(runs: Iterable[re.Match[bytes]]) -> int:
    return max((run.end() - run.start() for run in runs), default=0)

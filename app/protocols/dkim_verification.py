"""Whether a DKIM signature is valid, given its key (RFC 6376 §6.1); dkimpy computes it."""

import binascii
import re
from typing import Any

import dkim as dkimpy

from app.protocols import dkim

MIN_BITS, MAX_BITS = 1024, 4096  # RFC 8301 §3.2
MAX_BLANKS = 1_000  # in one run: dkimpy takes time that grows with its square

_BLANKS = re.compile(rb"[ \t]+")

_FAILURES = (
    *(dkimpy.DKIMException, binascii.Error, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, AssertionError),  # what it is known to raise on nonsense
)


def is_valid(mail: bytes, index: int, key_record: str) -> bool:
    """Whether the mail's DKIM-Signature field with this index is valid.

    mail        as it was received
    key_record  the TXT value at the signature's key name
    returns     False also for a key that may not be used, and for what cannot be read
    """
    try:
        key = dkim.parse_record(key_record)
    except (dkim.NotDkim, dkim.Unusable):
        return False
    if key.revoked or key.key_type is not dkim.KeyType.RSA or key.testing:
        return False
    if not MIN_BITS <= key.bits <= MAX_BITS or _longest_run(mail) > MAX_BLANKS:
        return False

    def look_up(_name: bytes, timeout: int = 0) -> bytes:
        return key_record.encode("ascii", "replace")

    verifier: Any = dkimpy.DKIM(mail, minkey=MIN_BITS, tlsrpt=True)
    try:
        return bool(verifier.verify(index, dnsfunc=look_up))
    except _FAILURES:
        return False


def _longest_run(mail: bytes) -> int:
    return max((run.end() - run.start() for run in _BLANKS.finditer(mail)), default=0)

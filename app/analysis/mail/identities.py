"""Who a message says it is from, and what its receiver made of that: all that a judgement needs.

Many records have the same identity, so it is kept once, and counted. Pure.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.protocols.report_formats.aggregate import Record

MAX_RESULTS = 20  # of one method that are kept; those that passed come first


@dataclass(frozen=True, slots=True)
class Identity:
    """What records have in common, beside where they come from.

    trusted        the report came by a way that strangers do not have
    dkim, spf      passed in alignment, as the receiver evaluated it
    dkim_results   (domain, selector, result), each once, those that passed first
    spf_results    (domain, scope, result), likewise
    reasons        the types of the receiver's reasons for doing otherwise
    """

    header_from: str
    disposition: str
    dkim: bool
    spf: bool
    trusted: bool = True
    envelope_from: str | None = None
    dkim_results: tuple[tuple[str, str, str], ...] = ()
    spf_results: tuple[tuple[str, str, str], ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """DMARC passed: DKIM or SPF did, in alignment (RFC 9989 §5.4)."""
        return self.dkim or self.spf

    @property
    def digest(self) -> bytes:
        """16 bytes that are the same for the same identity only."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def of(record: Record, *, trusted: bool) -> Identity:
    """The record's identity, names in lower case."""
    envelope = record.envelope_from or ""
    return Identity(
        header_from=record.header_from.lower(),
        disposition=record.disposition,
        dkim=record.dkim,
        spf=record.spf,
        trusted=trusted,
        envelope_from=envelope.rpartition("@")[2].lower() or None,
        dkim_results=_results(record.dkim_results),
        spf_results=_results(record.spf_results),
        reasons=tuple(sorted({reason.type for reason in record.reasons})),
    )


def from_row(row: Any) -> Identity:
    """The identity that a row of the table holds, or one joined with it."""
    return Identity(
        row.header_from, row.disposition, row.dkim, row.spf, row.trusted, row.envelope_from,
        tuple((domain, selector, result) for domain, selector, result in row.dkim_results),
        tuple((domain, scope, result) for domain, scope, result in row.spf_results),
        tuple(row.reasons),
    )  # fmt: skip


def _results(found: Sequence[tuple[str, str | None, str]]) -> tuple[tuple[str, str, str], ...]:
    plain = {(domain.lower(), word or "", result) for domain, word, result in found}
    ordered = sorted(plain, key=lambda one: (one[2] != "pass", one))
    return tuple(ordered[:MAX_RESULTS])

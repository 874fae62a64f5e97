"""The identity of mail: its author, and the authentication results of the receiver.

Many records have the same identity, so it is stored once with message counts. This module is pure.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.protocols.report_formats.aggregate import Record

MAX_RESULTS = 20  # stored for each method; passed results come first


@dataclass(frozen=True, slots=True)
class Identity:
    """The properties that records share, except for their source address.

    trusted        the provenance of the report is not ``unverified``
    dkim, spf      passed in alignment, as the receiver evaluated it
    dkim_results   (domain, selector, result), distinct, passed results first
    spf_results    (domain, scope, result), distinct, passed results first
    reasons        the types of the receiver's policy override reasons
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
        """Whether DMARC passed: DKIM or SPF passed in alignment (RFC 9989 §5.4)."""
        return self.dkim or self.spf

    def passes_spf_of(self, domain: str) -> bool:
        """Return whether SPF passed by the record of the domain itself."""
        return any(name == domain and result == "pass" for name, _, result in self.spf_results)

    @property
    def digest(self) -> bytes:
        """A digest of 16 bytes, equal only for equal identities."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def of(record: Record, *, trusted: bool) -> Identity:
    """Return the identity of a record, with names in lower case."""
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
    """Return the identity in a database row that has its columns."""
    return Identity(
        header_from=row.header_from,
        disposition=row.disposition,
        dkim=row.dkim,
        spf=row.spf,
        trusted=row.trusted,
        envelope_from=row.envelope_from,
        dkim_results=tuple(
            (domain, selector, result) for domain, selector, result in row.dkim_results
        ),
        spf_results=tuple((domain, scope, result) for domain, scope, result in row.spf_results),
        reasons=tuple(row.reasons),
    )


def _results(results: Sequence[tuple[str, str | None, str]]) -> tuple[tuple[str, str, str], ...]:
    plain = {(domain.lower(), word or "", result) for domain, word, result in results}
    ordered = sorted(plain, key=lambda result: (result[2] != "pass", result))
    return tuple(ordered[:MAX_RESULTS])

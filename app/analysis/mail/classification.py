"""Whether mail is the domain's own, was passed on, is forged, or cannot be told. Pure.

Who passes mail on cannot pass SPF for the author's domain, but the author's signature survives
unless the text was changed. Who forges has neither. What authenticates as somebody else only is
either a service that is not set up yet, or none of ours: a person must say.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from app.analysis.mail.identities import Identity
from app.catalog.senders import Sender

FORWARDING_REASONS = frozenset(
    ("forwarded", "mailing_list", "trusted_forwarder")
)  # catalogue of reasons
CUSTOMER_SERVICES = frozenset(("transactional", "marketing", "support", "business"))


class SourceClass(StrEnum):
    """What a source is to the domain."""

    OWN = "own"
    FORWARDER = "forwarder"
    SUSPICIOUS = "suspicious"
    UNKNOWN = "unknown"


class SourceClassification(NamedTuple):
    """The kind, and why, in words."""

    kind: SourceClass
    reason: str


@dataclass(frozen=True, slots=True)
class Clue:
    """What an identity tells.

    spf_domain       SPF passes for this domain, which is not the author's
    is_own_spf       SPF passes for the author's domain
    is_own_envelope  SPF was asked for the author's domain, whatever came of it
    is_own_signed    a signature of the author's domain is valid
    is_own_broken    there is one, but none is valid
    signer           another domain whose signature is valid, a well-known service's if there is one
    """

    identity: Identity
    spf_domain: str | None = None
    is_own_spf: bool = False
    is_own_envelope: bool = False
    is_own_signed: bool = False
    is_own_broken: bool = False
    signer: str | None = None


SPF_ALIGNED = SourceClassification(
    SourceClass.OWN, "SPF passes in alignment: the domain lets this address send"
)
SPF_OWN = SourceClassification(
    SourceClass.OWN, "SPF passes for a name of the domain, though not in alignment"
)
REPORTED_FORWARDED = SourceClassification(
    SourceClass.FORWARDER, "the receivers say that it was forwarded or sent on by a list"
)
FORWARDING_SERVICE = SourceClassification(
    SourceClass.FORWARDER, "it is a service that passes mail on"
)
CUSTOMER = SourceClassification(
    SourceClass.OWN, "it signs with the domain's key, and sends for its customers"
)
LISTED = SourceClassification(
    SourceClass.OWN, "the domain's SPF record lets it send, and it signs with the domain's key"
)
SURVIVED = SourceClassification(
    SourceClass.FORWARDER,
    "the domain's signature is valid while SPF fails: so mail looks that was passed on",
)
REWRITTEN = SourceClassification(
    SourceClass.FORWARDER,
    "the domain's signature is valid, and SPF passes for another domain: so mail looks that was "
    "passed on with a new envelope",
)
BROKEN = SourceClassification(
    SourceClass.FORWARDER,
    "the domain's signature is there but no longer valid, and SPF passes for another domain: so "
    "mail looks that a list has changed",
)
LISTED_UNALIGNED = SourceClassification(
    SourceClass.OWN, "the domain's SPF record lets it send, but neither SPF nor DKIM is aligned"
)
NOT_SET_UP = SourceClassification(
    SourceClass.UNKNOWN,
    "it authenticates as itself, not as the domain: a service that is not set up, or not yours",
)
SPOOFED = SourceClassification(
    SourceClass.SUSPICIOUS, "nothing authenticates it: neither SPF nor any signature passes"
)


def classify(clue: Clue, sender: Sender | None, *, is_listed: bool) -> SourceClassification:
    """What mail with this identity is, when it comes from this service.

    is_listed  the domain's SPF record lets the address pass
    """
    identity = clue.identity
    if identity.spf:
        return SPF_ALIGNED
    if clue.is_own_spf:
        return SPF_OWN
    if FORWARDING_REASONS.intersection(identity.reasons):
        return REPORTED_FORWARDED
    if sender and sender.category == "forwarder":
        return FORWARDING_SERVICE
    if identity.dkim:
        return _signed(clue, sender, is_listed)
    return LISTED_UNALIGNED if is_listed else _foreign(clue, sender)


def _signed(clue: Clue, sender: Sender | None, is_listed: bool) -> SourceClassification:
    """DKIM passes in alignment, SPF does not."""
    if is_listed:
        return LISTED
    if sender and sender.category in CUSTOMER_SERVICES:
        return CUSTOMER
    return REWRITTEN if clue.spf_domain else SURVIVED


def _foreign(clue: Clue, sender: Sender | None) -> SourceClassification:
    """Nothing is aligned, and the domain's SPF record does not know the address."""
    is_for_customers = sender is not None and sender.category in CUSTOMER_SERVICES
    if clue.is_own_broken and clue.spf_domain and not is_for_customers:
        return BROKEN
    return NOT_SET_UP if clue.spf_domain or clue.signer else SPOOFED

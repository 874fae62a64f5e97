"""Classification of mail: the domain's own, forwarded, spoofed, or unknown.

Forwarded mail cannot pass SPF for the author's domain, but the author's signature survives unless
the text was changed. Spoofed mail has neither. Mail that authenticates for another domain only is
from a service that is not set up yet or is not the domain's own, so a person must classify it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from app.analysis.mail.identities import Identity
from app.catalog.senders import Sender

FORWARDING_REASONS = frozenset(
    ("forwarded", "mailing_list", "trusted_forwarder")
)  # override reasons for forwarded mail
CUSTOMER_SERVICES = frozenset(("transactional", "marketing", "support", "business"))


class SourceClass(StrEnum):
    """The classification of a source."""

    OWN = "own"
    FORWARDER = "forwarder"
    SUSPICIOUS = "suspicious"
    UNKNOWN = "unknown"


class SourceClassification(NamedTuple):
    """A classification with its reason as text."""

    kind: SourceClass
    reason: str


@dataclass(frozen=True, slots=True)
class Clue:
    """The authentication evidence of an identity.

    spf_domain       the domain for which SPF passes, if it is not the author's
    is_own_spf       SPF passes for the author's domain
    is_own_envelope  SPF was checked for the author's domain, with any result
    is_own_signed    a signature of the author's domain is valid
    is_own_broken    such signatures exist, but none is valid
    signer           another domain with a valid signature, preferably of a well-known service
    """

    identity: Identity
    spf_domain: str | None = None
    is_own_spf: bool = False
    is_own_envelope: bool = False
    is_own_signed: bool = False
    is_own_broken: bool = False
    signer: str | None = None


SPF_ALIGNED = SourceClassification(
    SourceClass.OWN, "SPF aligned: your SPF record authorizes this address"
)
SPF_OWN = SourceClassification(
    SourceClass.OWN, "SPF passes for a name of your domain, but not in alignment"
)
REPORTED_FORWARDED = SourceClassification(
    SourceClass.FORWARDER, "Receivers report forwarding or a mailing list"
)
FORWARDING_SERVICE = SourceClassification(SourceClass.FORWARDER, "A service that forwards email")
CUSTOMER = SourceClassification(
    SourceClass.OWN, "Signs with your DKIM key and is a service that sends email for its customers"
)
LISTED = SourceClassification(
    SourceClass.OWN, "DKIM aligned, and your SPF record authorizes this address"
)
SURVIVED = SourceClassification(
    SourceClass.FORWARDER,
    "Your DKIM signature is valid but SPF fails, which is typical of forwarded email",
)
REWRITTEN = SourceClassification(
    SourceClass.FORWARDER,
    "Your DKIM signature is valid but SPF passes for another domain, which is typical of email "
    "forwarded with a new envelope sender",
)
BROKEN = SourceClassification(
    SourceClass.FORWARDER,
    "Your DKIM signature is broken and SPF passes for another domain, which is typical of email "
    "changed by a mailing list",
)
LISTED_UNALIGNED = SourceClassification(
    SourceClass.OWN, "Your SPF record authorizes this address, but neither SPF nor DKIM is aligned"
)
NOT_SET_UP = SourceClassification(
    SourceClass.UNKNOWN,
    "Passes SPF/DKIM for its own domain only. Either a service you still have to set up, or not "
    "yours",
)
SPOOFED = SourceClassification(SourceClass.SUSPICIOUS, "Not authenticated: SPF and DKIM both fail")


def classify(clue: Clue, sender: Sender | None, *, is_listed: bool) -> SourceClassification:
    """Return the classification of mail with this identity from this service.

    is_listed  whether the domain's SPF record authorizes the address
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
    """The classification if DKIM passes in alignment and SPF does not."""
    if is_listed:
        return LISTED
    if sender and sender.category in CUSTOMER_SERVICES:
        return CUSTOMER
    return REWRITTEN if clue.spf_domain else SURVIVED


def _foreign(clue: Clue, sender: Sender | None) -> SourceClassification:
    """The classification if nothing is aligned and the SPF record does not have the address."""
    is_for_customers = sender is not None and sender.category in CUSTOMER_SERVICES
    if clue.is_own_broken and clue.spf_domain and not is_for_customers:
        return BROKEN
    return NOT_SET_UP if clue.spf_domain or clue.signer else SPOOFED

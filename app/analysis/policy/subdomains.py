"""Caveats about subdomains: reports do not state which of them exist.

DMARC has a policy for subdomains that exist (sp) and one for those that do not (np, RFC 9989 §4.7),
but a report names an author's domain without stating whether it exists.
"""

from collections.abc import Sequence
from typing import Literal

from app.analysis.mail.unused import Subdomain
from app.protocols.dmarc import Record

MAX_SUBDOMAINS = 3  # names in a caveat


def unknowns(
    tag: Literal["p", "sp", "np"], record: Record, below: Sequence[Subdomain]
) -> list[tuple[str, int]]:
    """Return the caveats about a step of the tag, each with the number of failed messages."""
    failing = [subdomain for subdomain in below if subdomain.passed < subdomain.messages]
    if not failing or tag == "p" or (tag == "sp" and record.np is None):
        return []
    names = ", ".join(subdomain.name for subdomain in failing[:MAX_SUBDOMAINS])
    more = f" and {len(failing) - MAX_SUBDOMAINS} more" if len(failing) > MAX_SUBDOMAINS else ""
    if tag == "sp":
        condition = "np applies instead to those that do not exist"
    else:
        condition = "np applies only to those that do not exist, and sp to the others"
    text = f"Reports do not state whether {names}{more} exist: {condition}"
    return [(text, sum(subdomain.messages - subdomain.passed for subdomain in failing))]

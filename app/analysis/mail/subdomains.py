"""What reports leave open about names below a domain: which of them exist. Pure.

DMARC has a policy for names that exist (sp) and one for those that do not (np, RFC 9989 §4.7), and
a report names an author's domain without saying which of the two it is.
"""

from collections.abc import Sequence
from typing import Literal

from app.analysis.mail.unused import Subdomain
from app.protocols.dmarc import Record

MAX_SUBDOMAINS = 3  # names that are told


def unknowns(
    tag: Literal["p", "sp", "np"], record: Record, below: Sequence[Subdomain]
) -> list[tuple[str, int]]:
    """What is open about a step of the tag, with the failed messages that it is open for."""
    failing = [found for found in below if found.passed < found.messages]
    if not failing or tag == "p" or (tag == "sp" and record.np is None):
        return []
    names = ", ".join(found.name for found in failing[:MAX_SUBDOMAINS])
    more = f" and {len(failing) - MAX_SUBDOMAINS} more" if len(failing) > MAX_SUBDOMAINS else ""
    if tag == "sp":
        what = "np holds for them instead where they do not exist"
    else:
        what = "np holds for them only where they do not exist, and sp where they do"
    words = f"reports do not say whether {names}{more} exist: {what}"
    return [(words, sum(found.messages - found.passed for found in failing))]

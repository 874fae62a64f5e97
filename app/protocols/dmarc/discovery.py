"""Which DMARC record applies to a domain, and what it asks for: the tree walk (RFC 9989 §4.10)."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.protocols import names
from app.protocols.dmarc import Policy, Psd, Record
from app.protocols.names import DomainName


@dataclass(frozen=True, slots=True)
class Discovery:
    """What applies to one domain.

    record_at         where the policy record stands, without ``_dmarc``; None: no DMARC
    effective_policy  what is asked of receivers after sp, np and t; None: no DMARC processing
    policy_tag        ``p``, ``sp`` or ``np``, where that policy came from; None if it is defaulted
    """

    org_domain: DomainName
    record_at: DomainName | None = None
    record: Record | None = None
    effective_policy: Policy | None = None
    policy_tag: str | None = None


def ends_walk(record: Record | None) -> bool:
    """Whether the walk up stops here: ``psd=y`` or ``psd=n`` (RFC 9989 §4.10 steps 2 and 6)."""
    return record is not None and record.psd is not Psd.UNKNOWN


def organizational_domain(start: DomainName, found: Mapping[str, Record]) -> DomainName:
    """The Organizational Domain of ``start``.

    found   the sole record of each name of ``names.walk(start)`` that has one, by that name
            without ``_dmarc``; names above the end of the walk do no harm
    source  RFC 9989 §4.10.2
    """
    organizational, _ = _walked(start, found)
    return organizational


def discover(start: DomainName, found: Mapping[str, Record], *, exists: bool = True) -> Discovery:
    """The record that applies to mail from ``start``, and the policy it asks for.

    found    as for ``organizational_domain``
    exists   False if DNS says NXDOMAIN for ``start``; it decides between ``sp`` and ``np``
    returns  Discovery; its ``record_at`` is None if there is no applicable record
    source   RFC 9989 §4.10.1
    """
    organizational, suffix = _walked(start, found)
    for name in (start, organizational, suffix):
        if name is not None and (record := found.get(name)):
            policy, tag = policy_of(record, is_own=name == start, exists=exists)
            return Discovery(organizational, name, record, policy, tag)
    return Discovery(organizational)


def policy_of(
    record: Record, *, is_own: bool = True, exists: bool = True
) -> tuple[Policy | None, str | None]:
    """What the record asks for mail of its own domain, or of a sub-domain that has none.

    returns  the policy after ``t=y``, and the tag it came from; (None, None): no processing;
             (none, None): ``p=none`` for want of a readable policy
    source   RFC 9989 §4.7, §4.10.1
    """
    if not record.is_processed:
        return None, None
    if not record.has_readable_policy:
        return Policy.NONE, None
    order = ("p",) if is_own else ("sp", "p") if exists else ("np", "sp", "p")
    for tag in order:
        policy: Policy | None = getattr(record, tag)
        if policy is not None:
            return (policy.lowered if record.testing else policy), tag
    return Policy.NONE, None


def _walked(start: DomainName, found: Mapping[str, Record]) -> tuple[DomainName, DomainName | None]:
    """The Organizational Domain, and the PSD above it if the walk met one."""
    organizational = start
    for name in names.walk(start):
        record = found.get(name)
        if record is None:
            continue
        if record.psd is Psd.NO:
            return name, None
        if record.psd is Psd.YES:
            return (start, None) if name == start else (_one_below(name, start), name)
        organizational = name  # names get shorter: the last one found has the fewest labels
    return organizational, None


def _one_below(name: str, start: str) -> DomainName:
    count = name.count(".") + 2
    return DomainName(".".join(start.split(".")[-count:]))

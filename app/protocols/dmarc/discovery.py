"""DMARC policy discovery: the record that applies to a domain, by tree walk (RFC 9989 §4.10)."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.protocols import names
from app.protocols.dmarc import Policy, Psd, Record
from app.protocols.names import DomainName


@dataclass(frozen=True, slots=True)
class Discovery:
    """The result of DMARC policy discovery for one domain.

    record_at         the domain of the policy record, without ``_dmarc``; None: no DMARC record
    effective_policy  the requested policy after sp, np and t; None: no DMARC processing
    policy_tag        the tag that gives that policy: ``p``, ``sp`` or ``np``; None for a default
    """

    org_domain: DomainName
    record_at: DomainName | None = None
    record: Record | None = None
    effective_policy: Policy | None = None
    policy_tag: str | None = None


def ends_walk(record: Record | None) -> bool:
    """Whether the tree walk stops at this record: ``psd=y`` or ``psd=n`` (§4.10 steps 2 and 6)."""
    return record is not None and record.psd is not Psd.UNKNOWN


def organizational_domain(start: DomainName, records: Mapping[str, Record]) -> DomainName:
    """The Organizational Domain of ``start``.

    records  the only record at each name of ``names.walk(start)``, by name without ``_dmarc``;
             names above the end of the walk are ignored
    source   RFC 9989 §4.10.2
    """
    organizational, _ = _walked(start, records)
    return organizational


def discover(start: DomainName, records: Mapping[str, Record], *, exists: bool = True) -> Discovery:
    """The record that applies to mail from ``start``, and the policy it requests.

    records  as for ``organizational_domain``
    exists   False if DNS answers NXDOMAIN for ``start``, so that ``np`` applies instead of ``sp``
    returns  Discovery; its ``record_at`` is None if there is no applicable record
    source   RFC 9989 §4.10.1
    """
    organizational, suffix = _walked(start, records)
    for name in (start, organizational, suffix):
        if name is not None and (record := records.get(name)):
            policy, tag = policy_of(record, is_own=name == start, exists=exists)
            return Discovery(
                org_domain=organizational,
                record_at=name,
                record=record,
                effective_policy=policy,
                policy_tag=tag,
            )
    return Discovery(organizational)


def policy_of(
    record: Record, *, is_own: bool = True, exists: bool = True
) -> tuple[Policy | None, str | None]:
    """The policy for mail of the record's own domain, or of a subdomain without a record.

    returns  the policy after ``t=y`` and its tag; (None, None): no DMARC processing;
             (none, None): ``p=none`` by default, because no policy is valid
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


def _walked(
    start: DomainName, records: Mapping[str, Record]
) -> tuple[DomainName, DomainName | None]:
    """The Organizational Domain, and the public suffix domain above it if the walk reached one."""
    organizational = start
    for name in names.walk(start):
        record = records.get(name)
        if record is None:
            continue
        if record.psd is Psd.NO:
            return name, None
        if record.psd is Psd.YES:
            return (start, None) if name == start else (_one_below(name, start), name)
        organizational = name  # the walk goes up, so the last record has the fewest labels
    return organizational, None


def _one_below(name: str, start: str) -> DomainName:
    count = name.count(".") + 2
    return DomainName(".".join(start.split(".")[-count:]))

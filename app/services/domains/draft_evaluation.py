"""Evaluates draft records before they are published."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app import settings
from app.checks import CHECKS
from app.checks.engine import stored_results
from app.checks.engine.draft_records import DraftResolver
from app.checks.engine.runner import run_checks
from app.checks.engine.types import Check, Subject, Usage
from app.checks.spf import evaluate as spf_evaluate
from app.errors import InvalidRequest
from app.ports.network import Network, SessionFactory
from app.protocols import names
from app.protocols.names import DomainName
from app.services.core import domain_lookup
from app.services.scans import serialization

# The labels before the domain name where each check reads its TXT record.
PREFIXES = {
    "spf": "",
    "dmarc": "_dmarc.",
    "mta_sts": "_mta-sts.",
    "tls_rpt": "_smtp._tls.",
    "bimi": "default._bimi.",
}
_DKIM = "._domainkey."


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """Draft records that are evaluated as if they were published at ``name``.

    check    one of PREFIXES, or ``dkim``
    name     the domain, or the record's own name; for DKIM ``<selector>._domainkey.<domain>``
    records  complete TXT values; empty to evaluate the absence of a record
    """

    check: str
    name: str
    records: Sequence[str]
    usage: Usage = Usage.BOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class SpfSender:
    """The sender of an email whose SPF result is evaluated.

    ip         the address of the client
    mail_from  the envelope sender; None: the postmaster of the domain
    helo       the HELO name of the client; None: the domain name
    """

    ip: str
    mail_from: str | None = None
    helo: str | None = None


def evaluate(draft: DraftRecord, network: Network) -> dict[str, Any]:
    """Return the check result of the draft as JSON; everything else is resolved in DNS.

    raises  InvalidRequest for a check without a TXT record, or an invalid domain name
    """
    check = next((check for check in CHECKS if check.name == draft.check), None)
    if check is None or draft.check not in (*PREFIXES, "dkim"):
        raise InvalidRequest.field("check", f"expected one of: {', '.join((*PREFIXES, 'dkim'))}")
    domain, owner, selectors = _record_name(draft)
    subject = Subject(domain=domain, usage=draft.usage, dkim_selectors=selectors)
    return network.run(lambda new_session: _run_check(check, subject, owner, draft, new_session))


def evaluate_spf(
    account_id: UUID, ref: str, sender: SpfSender, network: Network
) -> spf_evaluate.Evaluation:
    """Return the SPF result for email from the sender with the domain's published record.

    raises  NotFound; InvalidRequest if ``ip`` is not an IP address
    source  RFC 7208 §4
    """
    domain = domain_lookup.find(account_id, ref).name
    mail_from = f"postmaster@{domain}" if sender.mail_from is None else sender.mail_from
    try:
        ipaddress.ip_address(sender.ip)
    except ValueError:
        raise InvalidRequest.field("ip", "not an IPv4 or IPv6 address") from None
    return network.run(
        lambda new_session: spf_evaluate.evaluate(
            new_session(), ip=sender.ip, mail_from=mail_from, helo=sender.helo or domain
        )
    )


async def _run_check(
    check: Check, subject: Subject, owner: str, draft: DraftRecord, new_session: SessionFactory
) -> dict[str, Any]:
    scans = await run_checks(
        {0: subject},
        lambda: DraftResolver(new_session(), {owner: draft.records}),
        concurrency=1,
        seconds=settings.current().scan_seconds,
        checks=(check,),
    )
    return serialization.with_documentation(stored_results.as_json(scans[0].check_results[0]))


def _record_name(draft: DraftRecord) -> tuple[DomainName, str, tuple[str, ...]]:
    """The domain, the name of the records, and the DKIM selectors."""
    text = draft.name.strip().lower().removesuffix(".")
    if draft.check == "dkim":
        selector, separator, text = text.partition(_DKIM)
        if not separator or not selector or len(selector) > 190:
            raise InvalidRequest.field(
                "name", "expected format for dkim: <selector>._domainkey.<domain>"
            )
        domain = _domain(text)
        return domain, f"{selector}{_DKIM}{domain}", (selector,)
    prefix = PREFIXES[draft.check]
    domain = _domain(text.removeprefix(prefix))
    return domain, f"{prefix}{domain}", ()


def _domain(text: str) -> DomainName:
    try:
        return names.parse(text, allow_special_use=settings.current().allow_special_use_names)
    except names.NotADomain as error:
        raise InvalidRequest.field("name", error.reason) from None

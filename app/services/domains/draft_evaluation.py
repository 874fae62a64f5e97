"""What a record would be worth that is not published yet."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app import settings
from app.checks import CHECKS
from app.checks.engine.draft_records import DraftResolver
from app.checks.engine.runner import run_checks
from app.checks.engine.types import Check, Subject, Usage
from app.checks.spf import evaluate as spf_evaluate
from app.errors import InvalidRequest
from app.ports.dns import Network, SessionFactory
from app.protocols import names
from app.protocols.names import DomainName
from app.services.core import domain_lookup
from app.services.scans import serialization

# Where each check that judges a TXT record looks for it, before the domain's name.
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
    """Records to be judged as if they were the ones at ``name``.

    check    one of PREFIXES, or ``dkim``
    name     the domain, or the record's own name; for DKIM ``<selector>._domainkey.<domain>``
    records  TXT values, each whole; none: as if there were no record
    """

    check: str
    name: str
    records: Sequence[str]
    usage: Usage = Usage.BOTH


def evaluate(draft: DraftRecord, door: Network) -> dict[str, Any]:
    """The judgement of the draft as JSON; what else the check wants to know is asked of DNS.

    raises  InvalidRequest for a check that judges no TXT record, or a name that is no domain's
    """
    check = next((check for check in CHECKS if check.name == draft.check), None)
    if check is None or draft.check not in (*PREFIXES, "dkim"):
        raise _invalid("check", f"one of {', '.join((*PREFIXES, 'dkim'))}")
    domain, owner, selectors = _record_name(draft)
    subject = Subject(domain=domain, usage=draft.usage, dkim_selectors=selectors)
    return door.run(lambda open_answers: _run_check(check, subject, owner, draft, open_answers))


def question(check: Check) -> str:
    """What the check looks at, in one sentence."""
    return (check.run.__doc__ or "").partition("\n")[0]


def would_pass(
    account_id: UUID, ref: str, door: Network, *, ip: str, mail_from: str | None, helo: str | None
) -> spf_evaluate.Evaluation:
    """What a receiver makes of mail from ``ip`` by the domain's published SPF (RFC 7208 §4).

    mail_from  the envelope's sender; the domain's postmaster if not given
    helo       what the client says it is; the domain's name if not given
    raises     NotFound; InvalidRequest if ``ip`` is no address
    """
    domain = domain_lookup.find(account_id, ref).name
    sender = f"postmaster@{domain}" if mail_from is None else mail_from
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        raise _invalid("ip", "not an IPv4 or IPv6 address") from None
    return door.run(
        lambda open_answers: spf_evaluate.evaluate(
            open_answers(), ip=ip, mail_from=sender, helo=helo or domain
        )
    )


async def _run_check(
    check: Check, subject: Subject, owner: str, draft: DraftRecord, open_answers: SessionFactory
) -> dict[str, Any]:
    found = await run_checks(
        {0: subject},
        lambda: DraftResolver(open_answers(), {owner: draft.records}),
        concurrency=1,
        seconds=settings.current().scan_seconds,
        checks=(check,),
    )
    return serialization.as_json(found[0].check_results[0])


def _record_name(draft: DraftRecord) -> tuple[DomainName, str, tuple[str, ...]]:
    """The domain, the name that the records stand at, and the DKIM selector."""
    text = draft.name.strip().lower().removesuffix(".")
    if draft.check == "dkim":
        selector, found, text = text.partition(_DKIM)
        if not found or not selector or len(selector) > 190:
            raise _invalid("name", "for dkim it is <selector>._domainkey.<domain>")
        domain = _domain(text)
        return domain, f"{selector}{_DKIM}{domain}", (selector,)
    prefix = PREFIXES[draft.check]
    domain = _domain(text.removeprefix(prefix))
    return domain, f"{prefix}{domain}", ()


def _domain(text: str) -> DomainName:
    try:
        return names.parse(text, allow_special_use=settings.current().allow_special_use_names)
    except names.NotADomain as error:
        raise _invalid("name", error.reason) from None


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest([{"field": field, "code": "invalid", "message": message}])

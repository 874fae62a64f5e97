"""Reports for the demo's domains: weeks of mail, some of it forged, some of it passed on."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = 45
REPORTERS = (
    ("Big Mailbox", "bigmailbox.example"),
    ("Post", "post.example"),
    ("Inbox", "inbox.test"),
)
_DAY = timedelta(days=1)

_RECORD = (
    "<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated>"
    "<disposition>{did}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf></policy_evaluated></row>"
    "<identifiers><header_from>{domain}</header_from></identifiers><auth_results>"
    "{signature}<spf><domain>{envelope}</domain><scope>mfrom</scope><result>{spf_raw}</result>"
    "</spf></auth_results></record>"
)
_SIGNATURE = (
    "<dkim><domain>{by}</domain><selector>{selector}</selector><result>pass</result></dkim>"
)
_REPORT = (
    '<?xml version="1.0" encoding="UTF-8"?><feedback><version>1.0</version><report_metadata>'
    "<org_name>{name}</org_name><email>dmarc@{reporter}</email><report_id>{id}</report_id>"
    "<date_range><begin>{begin}</begin><end>{end}</end></date_range></report_metadata>"
    "<policy_published><domain>{domain}</domain><adkim>r</adkim><aspf>r</aspf><p>{p}</p>"
    "</policy_published>{records}</feedback>"
)


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody who sends as a domain: so much a day, with these results.

    by  signs for this domain, if for any; ``spf`` passes for ``envelope``
    """

    ip: str
    daily: int
    by: str | None = None
    envelope: str | None = None
    spf: bool = True


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent as a domain under a policy."""

    domain: str
    policy: str
    selector: str
    senders: tuple[Sender, ...]


SENDERS = (
    Mail("perfect.example", "reject", "s2026", (
        Sender("192.0.2.10", 4200, "perfect.example"),
        Sender("198.51.100.25", 1500, "perfect.example", "bounce.mailer.example"),
        Sender("203.0.113.45", 120, "perfect.example", "list.forward.test"),
        Sender("203.0.113.199", 35, None, "perfect.example", False),
    )),
    Mail("monitoring.example", "none", "s1", (
        Sender("198.51.100.25", 2600, "monitoring.example"),
        Sender("198.51.100.77", 430, None, "shop-letters.example"),
        Sender("203.0.113.45", 90, "monitoring.example", "list.forward.test"),
        Sender("203.0.113.200", 160, None, "monitoring.example", False),
    )),
    Mail("sprawl.example", "reject", "s1", (
        Sender("198.51.100.30", 700, None, None, False),
        Sender("198.51.100.25", 1100, "sprawl.example"),
    )),
)  # fmt: skip


def files(now: datetime) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every report until yesterday; the same ones for the same day."""
    chance = random.Random(20260101)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(DAYS, 0, -1):
        begin = midnight - back * _DAY
        for mail in SENDERS:
            for index, (name, reporter) in enumerate(REPORTERS):
                raw = _aggregate(mail, begin, name, reporter, chance.uniform(0.7, 1.2) / 2**index)
                stamp = int(begin.timestamp())
                yield f"{reporter}!{mail.domain}!{stamp}.xml", raw
        failed = chance.randrange(40, 90) if back in (12, 11) else chance.randrange(3)
        yield f"tls-{begin:%Y-%m-%d}.json", _tls("perfect.example", begin, failed)


def _aggregate(mail: Mail, begin: datetime, name: str, reporter: str, share: float) -> bytes:
    is_weekend = begin.weekday() > 4
    records = []
    for sender in mail.senders:
        count = round(sender.daily * share * (0.35 if is_weekend else 1))
        if count:
            records.append(_record(mail, sender, count))
    return _REPORT.format(
        name=name, reporter=reporter, id=f"{mail.domain}-{begin:%Y%m%d}", domain=mail.domain,
        begin=int(begin.timestamp()), end=int((begin + _DAY).timestamp()) - 1, p=mail.policy,
        records="".join(records),
    ).encode()  # fmt: skip


def _record(mail: Mail, sender: Sender, count: int) -> str:
    envelope = sender.envelope or mail.domain
    is_aligned = sender.spf and envelope == mail.domain
    is_signed = sender.by == mail.domain
    passed = is_signed or is_aligned
    signature = _SIGNATURE.format(by=sender.by, selector=mail.selector) if sender.by else ""
    return _RECORD.format(
        ip=sender.ip, count=count, domain=mail.domain, envelope=envelope, signature=signature,
        did="none" if passed else mail.policy, dkim="pass" if is_signed else "fail",
        spf="pass" if is_aligned else "fail", spf_raw="pass" if sender.spf else "fail",
    )  # fmt: skip


def _tls(domain: str, begin: datetime, failed: int) -> bytes:
    details = [{"result-type": "certificate-expired", "failed-session-count": failed}]
    return json.dumps(
        {
            "organization-name": "Big Mailbox",
            "contact-info": "tls@bigmailbox.example",
            "report-id": f"{domain}-{begin:%Y%m%d}",
            "date-range": {
                "start-datetime": f"{begin:%Y-%m-%d}T00:00:00Z",
                "end-datetime": f"{begin:%Y-%m-%d}T23:59:59Z",
            },
            "policies": [
                {
                    "policy": {"policy-type": "sts", "policy-domain": domain},
                    "summary": {
                        "total-successful-session-count": 2400,
                        "total-failure-session-count": failed,
                    },
                    "failure-details": details if failed else [],
                }
            ],
        }
    ).encode()

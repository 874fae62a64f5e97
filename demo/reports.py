"""``python -m demo.reports DIRECTORY``: write sample reports about the sample domains.

The same day yields the same bytes, so a second start of the demo adds only newer reports.
"""

import gzip
import io
import json
import random
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

DAYS = 35
REPORTERS = {  # by the first part of the file name, as receivers write it
    "bigmail.example": ("Bigmail", "xml.gz"),
    "postbox.example": ("Postbox Inc.", "zip"),
    "mail.university.example": ("University of Example", "eml"),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """Mail from a set of addresses that looks the same to every receiver.

    count    approximate messages per day at one receiver
    results  of DKIM and of SPF, in alignment
    dkim     (domain, selector, result) or None; spf: (domain, result)
    is_burst whether the mail is sent only on some days
    """

    addresses: tuple[str, ...]
    count: int
    results: tuple[str, str]
    dkim: tuple[str, str, str] | None
    spf: tuple[str, str]
    envelope_from: str
    is_burst: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A domain with its policy and its senders."""

    name: str
    policy: str
    flows: tuple[Flow, ...]
    failing_tls: int = field(default=0)  # per thousand sessions; 0: no TLS reports


def _own(domain: str, selector: str, addresses: tuple[str, ...], count: int) -> Flow:
    return Flow(
        addresses=addresses,
        count=count,
        results=("pass", "pass"),
        dkim=(domain, selector, "pass"),
        spf=(domain, "pass"),
        envelope_from=domain,
    )


def _forwarded(domain: str, selector: str) -> Flow:
    return Flow(
        addresses=("192.0.2.77",),
        count=14,
        results=("pass", "fail"),
        dkim=(domain, selector, "pass"),
        spf=("lists.university.example", "pass"),
        envelope_from="lists.university.example",
        reason="mailing_list",
    )


def _spoofed(domain: str, count: int) -> Flow:
    addresses = tuple(f"198.51.100.{number}" for number in range(130, 190, 3))
    return Flow(
        addresses=addresses,
        count=count,
        results=("fail", "fail"),
        dkim=None,
        spf=(domain, "fail"),
        envelope_from=domain,
        is_burst=True,
    )


SAMPLES = (
    Sample(
        "perfect.example",
        "reject",
        (
            _own("perfect.example", "s2026", ("192.0.2.10", "192.0.2.11"), 420),
            _own("perfect.example", "e2026", ("2001:db8:10::10",), 90),
            _forwarded("perfect.example", "s2026"),
            _spoofed("perfect.example", 60),
        ),
        failing_tls=1,
    ),
    Sample(
        "monitoring.example",
        "none",
        (
            _own("monitoring.example", "s1", ("203.0.113.25", "203.0.113.26"), 260),
            Flow(
                addresses=("198.51.100.40", "198.51.100.41"),
                count=130,
                results=("fail", "fail"),
                dkim=("newsletter.example", "nl1", "pass"),
                spf=("bounce.newsletter.example", "pass"),
                envelope_from="bounce.newsletter.example",
            ),
            _forwarded("monitoring.example", "s1"),
            _spoofed("monitoring.example", 240),
        ),
        failing_tls=4,
    ),
    Sample(
        "hosted.example",
        "quarantine",
        (
            _own("hosted.example", "k1", ("203.0.113.60", "203.0.113.61"), 310),
            Flow(
                addresses=("203.0.113.99",),
                count=25,
                results=("fail", "pass"),
                dkim=None,
                spf=("hosted.example", "pass"),
                envelope_from="hosted.example",
            ),
            _spoofed("hosted.example", 35),
        ),
    ),
    Sample("mismatch.example", "reject", (), failing_tls=120),
)

_REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
<report_metadata><org_name>{org}</org_name><email>dmarc-reports@{reporter}</email>
<report_id>{report_id}</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range>
<generator>{org} reports 4.2</generator></report_metadata>
<policy_published><domain>{domain}</domain><discovery_method>treewalk</discovery_method>
<p>{policy}</p><sp>{policy}</sp><adkim>r</adkim><aspf>r</aspf></policy_published>
{records}</feedback>
"""
_RECORD = """<record><row><source_ip>{ip}</source_ip><count>{count}</count>
<policy_evaluated><disposition>{disposition}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf>{why}
</policy_evaluated></row><identifiers><envelope_from>{envelope}</envelope_from>
<header_from>{domain}</header_from></identifiers><auth_results>{signed}
<spf><domain>{spf_domain}</domain><scope>mfrom</scope><result>{spf_result}</result></spf>
</auth_results></record>
"""
_FAILURE = """From: Bigmail <noreply@bigmail.example>
To: dmarc@monitoring.example
Subject: FW: Your invoice
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain

A message that says it is from monitoring.example failed authentication.
--part
Content-Type: message/feedback-report

Feedback-Type: auth-failure
Version: 1
User-Agent: Bigmail-Feedback/4.2
Auth-Failure: dmarc
Identity-Alignment: dkim, spf
Reported-Domain: monitoring.example
Source-IP: 198.51.100.133
Original-Mail-From: <billing@monitoring.example>
Arrival-Date: {arrived}
Authentication-Results: mx.bigmail.example; dkim=none; spf=fail smtp.mailfrom=monitoring.example
Delivery-Result: delivered

--part
Content-Type: text/rfc822-headers

From: Billing <billing@monitoring.example>
To: someone@bigmail.example
Subject: Your invoice
Message-ID: <4711@spoofed.example>

--part--
"""


def write(directory: Path, today: date) -> int:
    """Write the files of the days before today, and return how many there are."""
    directory.mkdir(parents=True, exist_ok=True)
    files = dict(_files(today))
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return len(files)


def _files(today: date) -> Iterator[tuple[str, bytes]]:
    for ago in range(DAYS, 0, -1):
        day = today - timedelta(days=ago)
        for sample in SAMPLES:
            for reporter, (_, wrapping) in REPORTERS.items():
                stem = f"{reporter}!{sample.name}!{day:%Y%m%d}"
                if sample.flows:
                    yield _wrapped(stem, wrapping, _dmarc(sample, reporter, day))
            if sample.failing_tls:
                stem = f"bigmail.example!{sample.name}!{day:%Y%m%d}.json.gz"
                yield stem, gzip.compress(_tls(sample, day), mtime=0)
    yield "cut-off.xml", _dmarc(SAMPLES[1], "bigmail.example", today)[:700]
    stranger = Sample(
        "stranger.example", "none", (_own("stranger.example", "x", ("192.0.2.1",), 3),)
    )
    yield "stranger.xml", _dmarc(stranger, "postbox.example", today - timedelta(days=2))
    arrived = datetime.combine(today - timedelta(days=1), time(9, 30), UTC)
    yield "failure.eml", _FAILURE.format(arrived=f"{arrived:%a, %d %b %Y %H:%M:%S +0000}").encode()


def _is_burst(day: date) -> bool:
    return day.toordinal() % 17 in (3, 4)


def _dmarc(sample: Sample, reporter: str, day: date) -> bytes:
    chance = random.Random(f"{sample.name} {reporter} {day}")
    begin = int(datetime.combine(day, time(), UTC).timestamp())
    records = [
        _record(sample, flow, address, chance)
        for flow in sample.flows
        if _is_burst(day) or not flow.is_burst
        for address in flow.addresses
    ]
    return _REPORT.format(
        org=escape(REPORTERS[reporter][0]),
        reporter=reporter,
        domain=sample.name,
        report_id=f"{day:%Y%m%d}.{chance.randrange(10**8):08}",
        begin=begin,
        end=begin + 86_399,
        policy=sample.policy,
        records="".join(records),
    ).encode()


def _record(sample: Sample, flow: Flow, address: str, chance: random.Random) -> str:
    share = flow.count / len(flow.addresses)
    dkim, spf = flow.results
    is_passed = "pass" in flow.results
    signed = ""
    if flow.dkim:
        domain, selector, result = flow.dkim
        signed = (
            f"<dkim><domain>{domain}</domain><selector>{selector}</selector>"
            f"<result>{result}</result></dkim>"
        )
    why = f"<reason><type>{flow.reason}</type></reason>" if flow.reason else ""
    passing = "none" if sample.policy == "none" else "pass"
    return _RECORD.format(
        ip=address,
        count=max(1, round(share * chance.uniform(0.6, 1.4))),
        disposition=passing if is_passed else sample.policy,
        dkim=dkim,
        spf=spf,
        why=why,
        envelope=flow.envelope_from,
        domain=sample.name,
        signed=signed,
        spf_domain=flow.spf[0],
        spf_result=flow.spf[1],
    )


def _tls(sample: Sample, day: date) -> bytes:
    chance = random.Random(f"tls {sample.name} {day}")
    sessions = chance.randrange(400, 900)
    failed = round(sessions * sample.failing_tls / 1000 * chance.uniform(0.5, 1.5))
    failures = [
        {
            "result-type": "certificate-host-mismatch",
            "sending-mta-ip": "192.0.2.200",
            "receiving-mx-hostname": f"mx2.{sample.name}",
            "receiving-ip": "192.0.2.11",
            "failed-session-count": failed,
        }
    ]
    policy = {
        "policy-type": "sts",
        "policy-domain": sample.name,
        "policy-string": ["version: STSv1", "mode: enforce", f"mx: *.{sample.name}"],
        "mx-host": [f"*.{sample.name}"],
    }
    summary = {
        "total-successful-session-count": sessions - failed,
        "total-failure-session-count": failed,
    }
    document = {
        "organization-name": "Bigmail",
        "contact-info": "smtp-tls@bigmail.example",
        "report-id": f"{day}T00:00:00Z_{sample.name}",
        "date-range": {
            "start-datetime": f"{day}T00:00:00Z",
            "end-datetime": f"{day}T23:59:59Z",
        },
        "policies": [
            {
                "policy": policy,
                "summary": summary,
                "failure-details": failures if failed else [],
            }
        ],
    }
    return json.dumps(document).encode()


def _wrapped(stem: str, wrapping: str, document: bytes) -> tuple[str, bytes]:
    """Return the name and content of a file as this receiver sends it: gzip, zip or mail."""
    if wrapping == "xml.gz":
        return f"{stem}.xml.gz", gzip.compress(document, mtime=0)
    if wrapping == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo(f"{stem}.xml")  # with a fixed timestamp
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, document)
        return f"{stem}.zip", buffer.getvalue()
    head = (
        f"From: noreply@{stem.partition('!')[0]}\nSubject: Report Domain: {stem.split('!')[1]}\n"
        'MIME-Version: 1.0\nContent-Type: text/xml; charset="utf-8"\n'
        "Content-Transfer-Encoding: 8bit\n\n"
    )
    return f"{stem}.eml", head.encode() + document


if __name__ == "__main__":
    write(Path(sys.argv[1]), datetime.now(UTC).date())

"""Report documents for tests: built from values with valid defaults, and wrapped as senders do."""

import base64
import gzip
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = 86_400
YESTERDAY = int(
    (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0).timestamp()
)

RECORD = """<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated>
<disposition>none</disposition><dkim>{dkim}</dkim><spf>{spf}</spf></policy_evaluated></row>
<identifiers><header_from>{domain}</header_from></identifiers><auth_results>
<dkim><domain>{domain}</domain><selector>{selector}</selector><result>{dkim}</result></dkim>
<spf><domain>{domain}</domain><result>{spf}</result></spf></auth_results></record>"""

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<feedback><version>1.0</version><report_metadata><org_name>{org}</org_name>
<email>noreply@{org}</email><report_id>{report_id}</report_id>
<date_range><begin>{begin}</begin><end>{end}</end></date_range></report_metadata>
<policy_published><domain>{domain}</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>none</sp>
</policy_published>{records}</feedback>"""


FAILURE = """From: <noreply@receiver.test>
To: <reports@{domain}>
Subject: FW: Invoice
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

A message failed authentication.
--b
Content-Type: message/feedback-report

Feedback-Type: auth-failure
Version: 1
User-Agent: receiver/1.0
Auth-Failure: dmarc
Identity-Alignment: dkim, spf
Reported-Domain: {domain}
Source-IP: {ip}
Original-Mail-From: <bounce@evil.test>
Original-Rcpt-To: <victim@receiver.test>
Authentication-Results: mx.receiver.test; dkim=fail header.d={domain}; spf=fail
Delivery-Result: reject
DKIM-Domain: {domain}
DKIM-Selector: s1

--b
Content-Type: message/rfc822

From: "Chief" <ceo@{domain}>
To: victim@receiver.test
Subject: Urgent invoice
Message-ID: <1@evil.test>

Good day, please pay at once.
--b--
"""


def record(domain: str = "acme.test", **fields: Any) -> str:
    """One record; ``ip``, ``count``, ``dkim``, ``spf``, ``selector``."""
    defaults = {"ip": "192.0.2.1", "count": 3, "dkim": "pass", "spf": "pass", "selector": "s1"}
    return RECORD.format(domain=domain, **{**defaults, **fields})


def dmarc_xml(
    domain: str = "acme.test",
    report_id: str = "r1",
    *,
    records: list[str] | None = None,
    **fields: Any,
) -> bytes:
    """An aggregate report; ``org``, ``begin``, ``end``."""
    defaults = {"org": "receiver.test", "begin": YESTERDAY, "end": YESTERDAY + DAY - 1}
    body = "".join(records or [record(domain)])
    return REPORT.format(
        domain=domain, report_id=report_id, records=body, **{**defaults, **fields}
    ).encode()


def tls_json(domain: str = "acme.test", report_id: str = "t1", failed: int = 2) -> bytes:
    """A TLS report of one day."""
    begin = datetime.fromtimestamp(YESTERDAY, UTC)
    details = [
        {
            "result-type": "certificate-expired",
            "sending-mta-ip": "192.0.2.9",
            "receiving-mx-hostname": "mx.acme.test",
            "failed-session-count": failed,
        }
    ]
    document = {
        "organization-name": "Receiver",
        "contact-info": "tls@receiver.test",
        "report-id": report_id,
        "date-range": {
            "start-datetime": begin.strftime("%Y-%m-%dT00:00:00Z"),
            "end-datetime": begin.strftime("%Y-%m-%dT23:59:59Z"),
        },
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-domain": domain,
                    "policy-string": ["version: STSv1"],
                    "mx-host": ["mx.acme.test"],
                },
                "summary": {
                    "total-successful-session-count": 40,
                    "total-failure-session-count": failed,
                },
                "failure-details": details if failed else [],
            }
        ],
    }
    return json.dumps(document).encode()


def failure_mail(domain: str = "acme.test", ip: str = "203.0.113.66") -> bytes:
    """A failure report of a message that contains private data."""
    return FAILURE.format(domain=domain, ip=ip).replace("\n", "\r\n").encode()


def zipped(*documents: bytes) -> bytes:
    """A zip file with each of them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, document in enumerate(documents):
            archive.writestr(f"report{index}.xml", document)
    return buffer.getvalue()


def mailed(document: bytes, name: str = "report.xml.gz", kind: str = "application/gzip") -> bytes:
    """A mail with the document attached."""
    body = base64.encodebytes(document).decode()
    return (
        "From: noreply@receiver.test\r\nTo: reports@acme.test\r\nSubject: Report domain\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n"
        f'--b\r\nContent-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n{body}\r\n--b--\r\n'
    ).encode()


def wrappings(document: bytes) -> list[bytes]:
    """The document as XML, gzip, zip and mail."""
    compressed = gzip.compress(document, mtime=0)
    return [document, compressed, zipped(document), mailed(compressed)]

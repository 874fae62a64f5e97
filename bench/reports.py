"""Aggregate reports of any size for benchmarks, in the formats in which they are sent."""

import base64
import gzip
import io
import random
import zipfile
from collections.abc import Callable, Mapping

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<feedback>
  <version>1.0</version>
  <report_metadata>
    <org_name>Receiver Inc.</org_name>
    <email>noreply-dmarc@receiver.example</email>
    <extra_contact_info>https://receiver.example/dmarc</extra_contact_info>
    <report_id>{number}</report_id>
    <date_range>
      <begin>1767225600</begin>
      <end>1767311999</end>
    </date_range>
  </report_metadata>
  <policy_published>
    <domain>shop.example</domain>
    <adkim>r</adkim>
    <aspf>r</aspf>
    <p>reject</p>
    <sp>none</sp>
    <pct>100</pct>
  </policy_published>
"""
_RECORD = """  <record>
    <row>
      <source_ip>{address}</source_ip>
      <count>{count}</count>
      <policy_evaluated>
        <disposition>{disposition}</disposition>
        <dkim>{dkim}</dkim>
        <spf>{spf}</spf>{reason}
      </policy_evaluated>
    </row>
    <identifiers>
      <header_from>{author}</header_from>
      <envelope_from>{bounce}</envelope_from>
    </identifiers>
    <auth_results>{signature}
      <spf>
        <domain>{bounce}</domain>
        <scope>mfrom</scope>
        <result>{spf}</result>
      </spf>
    </auth_results>
  </record>
"""
_SIGNATURE = """
      <dkim>
        <domain>{domain}</domain>
        <selector>{selector}</selector>
        <result>{dkim}</result>
      </dkim>"""
_REASON = """
        <reason>
          <type>local_policy</type>
          <comment>arc=pass</comment>
        </reason>"""

_RESULTS = ("pass", "pass", "pass", "fail")
_SERVICES = (  # the author's domain, the envelope domain, and (domain, selector) of signatures
    ("shop.example", "shop.example", (("shop.example", "s1"),)),
    ("shop.example", "bounces.mailer.example", (("shop.example", "m1"), ("mailer.example", "x"))),
    ("news.shop.example", "b.news.shop.example", (("news.shop.example", "n2026"),)),
    ("shop.example", "crm.example", (("crm.example", "k1"),)),
    ("shop.example", "list.example", (("shop.example", "s1"), ("list.example", "2025"))),
    ("shop.example", "elsewhere.example", ()),
)


def xml(records: int, number: int) -> bytes:
    """The XML of a report, which is the same for the same numbers."""
    chance = random.Random(number)
    body = "".join(_record(chance) for _ in range(records))
    return f"{_HEAD.format(number=number)}{body}</feedback>\n".encode()


def _record(chance: random.Random) -> str:
    """A record of one of a few services from a random address, as in real reports."""
    author, bounce, signatures = chance.choice(_SERVICES)
    dkim, spf = chance.choice(_RESULTS), chance.choice(_RESULTS)
    return _RECORD.format(
        address=_address(chance),
        count=int(chance.paretovariate(0.8)) % 100_000,
        disposition="none" if "pass" in (dkim, spf) else "reject",
        dkim=dkim,
        spf=spf,
        reason=_REASON if chance.random() < 0.05 else "",
        author=author,
        bounce=bounce,
        signature="".join(
            _SIGNATURE.format(domain=domain, selector=selector, dkim=dkim)
            for domain, selector in signatures
        ),
    )


def _address(chance: random.Random) -> str:
    if chance.random() < 0.2:
        return "2001:db8:" + ":".join(f"{chance.randrange(1, 65536):x}" for _ in range(6))
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))


def gz(document: bytes) -> bytes:
    """The report in gzip."""
    return gzip.compress(document, mtime=0)


def zip(document: bytes) -> bytes:
    """The report in a zip archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("receiver.example!shop.example!1767225600!1767311999.xml", document)
    return archive.getvalue()


def mail(document: bytes) -> bytes:
    """The report in gzip, attached to a message."""
    name = b"receiver.example!shop.example!1767225600!1767311999.xml.gz"
    lines = (
        *(b"From: noreply-dmarc@receiver.example", b"To: reports@monitoring.example"),
        *(b"Subject: Report Domain: shop.example Submitter: receiver.example Report-ID: 1",),
        *(b"Date: Fri, 02 Jan 2026 01:00:00 +0000", b"Message-ID: <1@receiver.example>"),
        *(b"MIME-Version: 1.0", b'Content-Type: multipart/mixed; boundary="part"', b""),
        *(b"--part", b"Content-Type: text/plain; charset=utf-8", b"", b"A report.", b"--part"),
        *(b"Content-Type: application/gzip", b"Content-Transfer-Encoding: base64"),
        *(b'Content-Disposition: attachment; filename="' + name + b'"', b""),
        *(base64.encodebytes(gz(document)).replace(b"\n", b"\r\n").rstrip(), b"--part--", b""),
    )
    return b"\r\n".join(lines)


def bare(document: bytes) -> bytes:
    """The report itself."""
    return document


WRAPPINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "xml": bare,
    "gz": gz,
    "zip": zip,
    "mail": mail,
}

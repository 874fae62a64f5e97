"""Report emails with a DKIM signature of their reporter."""

import base64
from typing import Any
from uuid import UUID

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app import settings as app_settings
from app.db.transactions import transaction
from app.models import ReportFile
from app.services.filing import processor
from app.services.ingest import authenticity, files
from tests.support.report_documents import dmarc_xml
from tests.support.zones import Zone, ZoneNetwork

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


NAME = "s1._domainkey.reporter.test"


def record(key: rsa.RSAPrivateKey = KEY, more: str = "") -> str:
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; {more}p={base64.b64encode(public).decode()}"


def mail(author: str = "noreply@reporter.test", **report: Any) -> bytes:
    document = dmarc_xml(org="reporter.test", **report)
    body = base64.encodebytes(document).replace(b"\n", b"\r\n")
    lines = (
        *(
            f"From: Reports <{author}>",
            "To: r@monitoring.test",
            "Subject: Report Domain: acme.test",
        ),
        *("Content-Type: text/xml", "Content-Transfer-Encoding: base64", "", ""),
    )
    return "\r\n".join(lines).encode() + body


def signed(
    raw: bytes, domain: str = "reporter.test", selector: bytes = b"s1", **options: Any
) -> bytes:
    private = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    chosen = {"include_headers": [b"from", b"to", b"subject"], **options}
    signature: bytes = dkim.sign(raw, selector, domain.encode(), private, **chosen)
    return signature + raw


def read(account_id: UUID, raw: bytes, zone: Zone | None, received_via: str = "mail") -> ReportFile:
    claims = authenticity.received_by(app_settings.current().trusted_authserv_ids)
    stored_file = files.store(account_id, raw, received_via=received_via, sender_metadata=claims)
    processor.run([stored_file.file.id], network=ZoneNetwork(zone) if zone else None)
    with transaction(readonly=True) as session:
        report_file = session.get_one(ReportFile, stored_file.file.id)
    assert report_file.status == "parsed", report_file.detail
    return report_file

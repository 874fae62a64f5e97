"""A report is worth more if the mail that carried it is provably its reporter's."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app import settings as app_settings
from app.db import transaction
from app.models import Intake
from app.services import intakes, reading
from tests.documents import dmarc_xml
from tests.factories import make_account, make_domain
from tests.zones import SERVFAIL, Zone, ZoneDoor

pytestmark = pytest.mark.usefixtures("database")

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)
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


def signed(raw: bytes, domain: str = "reporter.test", **options: Any) -> bytes:
    private = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    chosen = {"include_headers": [b"from", b"to", b"subject"], **options}
    signature: bytes = dkim.sign(raw, b"s1", domain.encode(), private, **chosen)
    return signature + raw


def provenance(raw: bytes, zone: Zone | None, way: str = "mail") -> str:
    """What the report in the mail is worth."""
    account = make_account()
    make_domain(account.id, "acme.test")
    return read(account.id, raw, zone, way).provenance


def read(account_id: UUID, raw: bytes, zone: Zone | None, way: str = "mail") -> Intake:
    taken = intakes.take_in(account_id, raw, way=way)
    reading.run([taken.intake.id], door=ZoneDoor(zone) if zone else None)
    with transaction(readonly=True) as session:
        intake = session.get_one(Intake, taken.intake.id)
    assert intake.state == "parsed", intake.detail
    return intake


@contextmanager
def trusting(*servers: str) -> Iterator[None]:
    before = app_settings.current()
    app_settings.use(replace(before, trusted_authserv_ids=servers))
    try:
        yield
    finally:
        app_settings.use(before)


def test_a_valid_signature_of_the_reporter_proves_the_report() -> None:
    assert provenance(signed(mail()), Zone({NAME: [record()]})) == "authenticated"
    assert provenance(signed(mail()), Zone({NAME: [record()]}), way="http") == "authenticated"


def test_a_key_for_tls_reports_alone_proves_it_as_well() -> None:
    assert provenance(signed(mail()), Zone({NAME: [record(more="s=tlsrpt; ")]})) == "authenticated"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {NAME: SERVFAIL},
        {NAME: [record(), record()]},
        {NAME: [record(WEAK)]},
        {NAME: [record(more="t=y; ")]},
        {NAME: ["v=DKIM1; p="]},
        {NAME: ["v=DKIM1; p=nonsense"]},
        {NAME: ["hello"]},
    ],
)
def test_without_a_usable_key_it_proves_nothing(data: Any) -> None:
    assert provenance(signed(mail()), Zone(data)) == "unverified"


def test_what_was_changed_after_signing_proves_nothing() -> None:
    raw = signed(mail())
    zone = Zone({NAME: [record()]})
    assert provenance(raw.replace(b"To: r@", b"To: s@"), zone) == "unverified"
    assert provenance(raw + b"\r\n!\r\n", zone) == "unverified"


def test_a_signature_of_another_proves_nothing() -> None:
    raw = signed(mail("noreply@evil.test"), "evil.test")
    zone = Zone({"s1._domainkey.evil.test": [record()]})
    assert provenance(raw, zone) == "unverified"  # the mail is evil's, the report says reporter's


def test_a_signature_of_the_beginning_of_a_mail_proves_nothing() -> None:
    assert provenance(signed(mail(), length=True), Zone({NAME: [record()]})) == "unverified"


def test_blanks_without_end_are_not_verified() -> None:
    raw = signed(mail() + b"\r\n" + b" " * 2_000 + b"!\r\n")
    assert provenance(raw, Zone({NAME: [record()]})) == "unverified"


def test_dns_is_asked_only_for_keys_of_the_author() -> None:
    zone = Zone({NAME: [record()]})
    provenance(signed(signed(mail()), "evil.test"), zone)
    assert zone.asked == [(NAME, "TXT")]


def test_a_trusted_server_is_believed_and_dns_is_not_asked() -> None:
    results = b"Authentication-Results: mx.monitoring.test; dkim=pass header.d=reporter.test\r\n"
    zone = Zone({})
    with trusting("mx.monitoring.test"):
        assert provenance(results + mail(), zone) == "authenticated"
    assert provenance(results + mail(), zone) == "unverified"
    assert zone.asked == []


def test_a_proven_report_takes_the_place_of_one_that_anybody_could_have_sent() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    zone = Zone({NAME: [record()]})
    forged = read(account.id, mail(report_id="7"), zone)
    proven = read(account.id, signed(mail(report_id="7")), zone)
    assert (forged.provenance, proven.provenance) == ("unverified", "authenticated")
    with transaction(readonly=True) as session:
        assert session.get_one(Intake, forged.id).state == "duplicate"

"""A report has a better provenance if its email is provably from its reporter."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import func, select

from app import settings as app_settings
from app.db.transactions import transaction
from app.models import DmarcHour, DmarcReport, ReportFile
from app.services.rollups import rollup_queue
from tests.support.factories import make_account, make_domain
from tests.support.signed_mails import NAME, mail, read, record, signed
from tests.support.zones import SERVFAIL, Zone

pytestmark = pytest.mark.usefixtures("database")

OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def provenance(raw: bytes, zone: Zone | None, received_via: str = "mail") -> str:
    """The provenance of the report in the mail."""
    account = make_account()
    make_domain(account.id, "acme.test")
    return read(account.id, raw, zone, received_via).provenance


@contextmanager
def trusting(*servers: str) -> Iterator[None]:
    before = app_settings.current()
    app_settings.use(before.replace(trusted_authserv_ids=servers))
    try:
        yield
    finally:
        app_settings.use(before)


def test_valid_dkim_signature_of_the_reporter_makes_the_report_trusted() -> None:
    assert provenance(signed(mail()), Zone({NAME: [record()]})) == "authenticated"
    assert (
        provenance(signed(mail()), Zone({NAME: [record()]}), received_via="http") == "authenticated"
    )


def test_key_for_tls_reports_only_makes_the_report_trusted() -> None:
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
def test_signature_without_a_usable_key_is_not_trusted(data: Any) -> None:
    assert provenance(signed(mail()), Zone(data)) == "unverified"


def test_mail_changed_after_signing_is_not_trusted() -> None:
    raw = signed(mail())
    zone = Zone({NAME: [record()]})
    assert provenance(raw.replace(b"To: r@", b"To: s@"), zone) == "unverified"
    assert provenance(raw + b"\r\n!\r\n", zone) == "unverified"


def test_signature_of_another_domain_is_not_trusted() -> None:
    raw = signed(mail("noreply@evil.test"), "evil.test")
    zone = Zone({"s1._domainkey.evil.test": [record()]})
    assert provenance(raw, zone) == "unverified"  # the mail is evil's, the report says reporter's


def test_signature_of_a_partial_body_is_not_trusted() -> None:
    assert provenance(signed(mail(), length=True), Zone({NAME: [record()]})) == "unverified"


def test_mail_with_endless_blanks_is_not_verified() -> None:
    raw = signed(mail() + b"\r\n" + b" " * 2_000 + b"!\r\n")
    assert provenance(raw, Zone({NAME: [record()]})) == "unverified"


def test_only_keys_of_the_author_are_looked_up() -> None:
    zone = Zone({NAME: [record()]})
    provenance(signed(signed(mail()), "evil.test"), zone)
    assert zone.asked == [(NAME, "TXT")]


def test_result_of_a_trusted_server_is_used_without_dns() -> None:
    results = b"Authentication-Results: mx.monitoring.test; dkim=pass header.d=reporter.test\r\n"
    zone = Zone({})
    with trusting("mx.monitoring.test"):
        assert provenance(results + mail(), zone) == "authenticated"
    assert provenance(results + mail(), zone) == "unverified"
    assert zone.asked == []


@pytest.mark.parametrize(
    ("received_via", "expected"),
    [
        ("mail", "authenticated"),
        ("mailbox", "authenticated"),
        ("http", "unverified"),
        ("upload", "token"),
        ("cli", "token"),
        ("dashboard", "token"),
    ],
)
def test_results_of_a_trusted_server_count_only_in_mail_that_it_received(
    received_via: str, expected: str
) -> None:
    results = (
        b"Authentication-Results: mx.monitoring.test; dmarc=pass header.from=reporter.test\r\n"
    )
    with trusting("mx.monitoring.test"):
        assert provenance(results + mail(), None, received_via) == expected


def test_results_count_only_from_the_server_that_received_the_mail() -> None:
    results = b"Authentication-Results: mx.monitoring.test; dkim=pass header.d=reporter.test\r\n"
    with trusting("mx.other.test"):
        assert provenance(results + mail(), None) == "unverified"


def test_own_upload_of_a_file_from_an_earlier_unknown_source_is_trusted() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    raw = mail(report_id="7")
    assert read(account.id, raw, None, "http").provenance == "unverified"
    assert read(account.id, raw, None, "upload").provenance == "token"
    assert read(account.id, raw, None, "http").provenance == "token"
    with transaction(readonly=True) as session:
        assert session.scalars(select(DmarcReport.provenance)).all() == ["token"]
        trusted = select(DmarcHour.trusted, func.sum(DmarcHour.messages)).group_by("trusted")
    rollup_queue.drain()
    with transaction(readonly=True) as session:
        assert [bool(row[0]) for row in session.execute(trusted)] == [True]


def test_trusted_report_replaces_an_unverified_one() -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    zone = Zone({NAME: [record()]})
    forged = read(account.id, mail(report_id="7"), zone)
    proven = read(account.id, signed(mail(report_id="7")), zone)
    assert (forged.provenance, proven.provenance) == ("unverified", "authenticated")
    with transaction(readonly=True) as session:
        assert session.get_one(ReportFile, forged.id).status == "duplicate"


def authenticity(raw: bytes, zone: Zone | None, received_via: str = "mail") -> str | None:
    """The authenticity of the report in the mail."""
    account = make_account()
    make_domain(account.id, "acme.test")
    return read(account.id, raw, zone, received_via).authenticity


def test_broken_signature_is_an_authentication_failure() -> None:
    zone = Zone({NAME: [record()]})
    assert authenticity(signed(mail()), zone) == "verified"
    assert authenticity(signed(mail()) + b"\r\n!\r\n", zone) == "failed"  # another body
    changed = signed(mail()).replace(b"To: r@", b"To: s@")
    assert authenticity(changed, zone) == "failed"
    assert authenticity(signed(mail()), Zone({NAME: [record(OTHER)]})) == "failed"


def test_report_in_mail_of_another_domain_is_an_authentication_failure() -> None:
    raw = signed(mail("noreply@evil.test"), "evil.test")
    account = make_account()
    make_domain(account.id, "acme.test")
    report_file = read(account.id, raw, Zone({"s1._domainkey.evil.test": [record()]}))
    assert (report_file.authenticity, report_file.author) == ("failed", "evil.test")
    assert report_file.reporter == "reporter.test"


@pytest.mark.parametrize(
    "data",
    [
        {NAME: SERVFAIL},
        {},  # it may have been taken away since
        {NAME: ["v=DKIM1; p="]},
        {NAME: [record(), record()]},
        {NAME: [record(more="t=y; ")]},
    ],
)
def test_unavailable_key_is_not_a_failure(data: Any) -> None:
    assert authenticity(signed(mail()) + b"\r\n!\r\n", Zone(data)) is None


def test_broken_signature_with_an_unverifiable_one_is_not_a_failure() -> None:
    raw = signed(mail(), selector=b"gone") + b"\r\n!\r\n"
    again = signed(raw) + b"\r\n!\r\n"
    zone = Zone({NAME: [record()], "gone._domainkey.reporter.test": SERVFAIL})
    assert authenticity(again, zone) is None


@pytest.mark.parametrize("count", [1, 6])
def test_unchecked_signature_prevents_a_failure(count: int) -> None:
    raw, zone = signed(mail()), Zone({NAME: [record()]})
    for _ in range(count):  # one of the beginning only, or more than a few
        raw = signed(raw, length=count == 1)
    assert authenticity(raw.replace(b"To: r@", b"To: s@"), zone) is None


def test_mail_without_evidence_is_not_a_failure() -> None:
    assert authenticity(mail(), Zone({})) is None  # no signature
    assert authenticity(mail("noreply@evil.test"), Zone({})) is None
    assert authenticity(signed(mail()), None) is None
    assert authenticity(b"From: a@x.test, b@y.test\r\n" + signed(mail()), Zone({})) is None


def test_own_upload_needs_no_authentication() -> None:
    zone = Zone({NAME: [record()]})
    assert authenticity(signed(mail()) + b"\r\n!\r\n", zone, received_via="http") is None
    assert authenticity(signed(mail()) + b"\r\n!\r\n", zone, received_via="mailbox") == "failed"


def test_report_forwarded_by_a_user_is_not_a_failure() -> None:
    raw = signed(mail("postmaster@acme.test"), "acme.test")
    assert authenticity(raw, Zone({"s1._domainkey.acme.test": [record()]})) is None


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("dkim=fail header.d=reporter.test", "failed"),
        ("dkim=pass header.d=evil.test; dmarc=fail header.from=reporter.test", "failed"),
        ("dkim=none; dmarc=fail header.from=reporter.test", None),  # SPF breaks on the way
        ("dkim=temperror header.d=reporter.test", None),
        ("dkim=fail header.d=evil.test", None),
    ],
)
def test_failure_reported_by_a_trusted_server_is_a_failure(
    results: str, expected: str | None
) -> None:
    head = f"Authentication-Results: mx.monitoring.test; {results}\r\n".encode()
    with trusting("mx.monitoring.test"):
        assert authenticity(head + mail(), Zone({})) == expected
        assert authenticity(head + signed(mail()), Zone({NAME: [record()]})) == "verified"
    assert authenticity(head + mail(), Zone({})) is None

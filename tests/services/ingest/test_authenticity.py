"""Reports with a definite authentication failure open an alert."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import ids
from app.db.transactions import now, transaction
from app.models import Alert, ReportFile
from app.rules.reports import ingest_health
from app.services.monitoring import report_monitor
from tests.support.factories import make_account, make_domain
from tests.support.signed_mails import NAME, mail, read, record, signed
from tests.support.zones import SERVFAIL, Zone

pytestmark = pytest.mark.usefixtures("database")

ZONE = Zone({NAME: [record()], "s1._domainkey.evil.test": [record()]})


@pytest.fixture
def account_id(database: object) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def genuine(number: int) -> bytes:
    return signed(mail(report_id=f"g{number}"))


def broken(number: int) -> bytes:
    return signed(mail(report_id=f"b{number}")) + b"\r\n!\r\n"


def of_another(number: int) -> bytes:
    return signed(mail("noreply@evil.test", report_id=f"f{number}"), "evil.test")


def open_alerts() -> Sequence[Alert]:
    """The alerts after one evaluation."""
    report_monitor.evaluate_accounts()
    is_open = (Alert.type == "report.authenticity_failed") & (Alert.status == "open")
    with transaction(readonly=True) as session:
        return session.scalars(select(Alert).where(is_open)).all()


def test_forged_report_of_a_well_known_reporter_opens_an_alert(account_id: UUID) -> None:
    read(account_id, genuine(1), ZONE)
    assert open_alerts() == []
    first, second = read(account_id, of_another(1), ZONE), read(account_id, broken(1), ZONE)
    [alert] = open_alerts()
    assert (alert.subject, alert.severity, alert.domain_id) == ("reporter.test", "info", None)
    evidence: Any = alert.evidence
    observed = evidence["observed"]
    assert observed["reports"] == 2
    assert sorted(observed["authors"]) == ["evil.test", "reporter.test"]
    assert set(evidence["samples"]) == {
        ids.public("file", first.id),
        ids.public("file", second.id),
    }


def well_known_marks() -> list[bool]:
    """Whether the evidence of each open alert says that the reporter is well known."""
    observed: list[Any] = [alert.evidence["observed"] for alert in open_alerts()]
    return [values["isWellKnown"] for values in observed]


def test_alert_about_unverified_mail_is_never_above_info(account_id: UUID) -> None:
    read(account_id, broken(1), ZONE)
    assert well_known_marks() == [False]
    read(account_id, genuine(1), ZONE)
    assert well_known_marks() == [True]
    assert [alert.severity for alert in open_alerts()] == ["info"]


def test_inconclusive_authentication_opens_no_alert(account_id: UUID) -> None:
    read(account_id, genuine(1), ZONE)
    read(account_id, broken(1), Zone({NAME: SERVFAIL}))  # DNS is away
    read(account_id, broken(2), Zone({}))  # the key has gone
    read(account_id, broken(3), None)
    read(account_id, mail(report_id="u1"), ZONE)  # no signature
    read(account_id, mail("noreply@evil.test", report_id="u2"), ZONE)
    assert open_alerts() == []


def test_alert_is_resolved_after_a_week_without_failures(account_id: UUID) -> None:
    read(account_id, broken(1), ZONE)
    assert len(open_alerts()) == 1
    with transaction() as session:
        session.execute(update(ReportFile).values(finished_at=now(session) - timedelta(days=8)))
    assert open_alerts() == []


def test_dns_failure_does_not_resolve_the_alert(account_id: UUID) -> None:
    read(account_id, broken(1), ZONE)
    assert len(open_alerts()) == 1
    read(account_id, broken(2), Zone({NAME: SERVFAIL}))
    assert len(open_alerts()) == 1


def test_made_up_names_do_not_displace_known_senders(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(account_id, broken(1), ZONE)
    monkeypatch.setattr(ingest_health, "MAX_SAMPLES", 1)
    with transaction() as session:
        session.add_all(
            ReportFile(
                id=ids.new(),
                account_id=account_id,
                received_via="mail",
                sha256=ids.new().bytes,
                size_bytes=1,
                status="parsed",
                finished_at=now(session),
                author="evil.test",
                reporter=f"a{number // 2}.test",
                authenticity="failed",
            )
            for number in range(6)
        )
    assert [alert.subject for alert in open_alerts()] == ["reporter.test"]


def test_failures_of_another_account_open_no_alert(account_id: UUID) -> None:
    other = make_account("other")
    make_domain(other.id, "acme.test")
    read(other.id, broken(1), ZONE)
    assert [alert.account_id for alert in open_alerts()] == [other.id]

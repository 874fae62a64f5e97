"""Alerts on spoofed mail, on parked domains, and on selectors that no longer sign."""

from typing import Any

import pytest
from sqlalchemy import update

from app.db.transactions import transaction
from app.models import Domain
from app.protocols.report_formats.aggregate import DkimResult, Record
from tests.support.report_alerts import GOOD, opened, send
from tests.support.stored_reports import record


def forged(addresses: int, count: int, disposition: str = "reject") -> list[Record]:
    return [
        record(
            f"203.0.113.{number}",
            count,
            dkim=False,
            spf=False,
            disposition=disposition,
            dkim_results=(),
            spf_results=(),
        )
        for number in range(1, addresses + 1)
    ]


def test_spoofing_from_many_addresses_opens_an_alert_with_dispositions(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD, *forged(12, 5), *forged(12, 1, "none"))
    alert = opened(domain)["source.spoofing_suspected"]
    observed: Any = alert.evidence["observed"]
    assert (alert.severity, observed["messages"], observed["refused"]) == ("high", 144, 120)
    assert observed["addresses"] == 12


@pytest.mark.parametrize(
    ("usual", "now_"),
    [
        ([], forged(2, 100)),  # few addresses
        ([], forged(12, 2)),  # little mail
        (forged(12, 5), forged(12, 5)),  # as ever
        ([], []),
    ],
)
def test_little_or_usual_spoofing_opens_no_alert(
    domain: Domain, usual: list[Record], now_: list[Record]
) -> None:
    send(domain, range(4, 34), GOOD, *usual)
    send(domain, range(1, 3), GOOD, *now_)
    assert "source.spoofing_suspected" not in opened(domain)


def test_spoofing_in_unverified_reports_only_is_info(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD)
    send(domain, range(1, 3), *forged(12, 10), provenance="unverified", reporter="evil.test")
    assert opened(domain)["source.spoofing_suspected"].severity == "info"


def signed(selector: str, count: int = 40) -> Record:
    return record(count=count, dkim_results=(DkimResult("acme.test", selector, "pass"),))


@pytest.mark.parametrize(("silent_days", "is_alerted"), [(4, False), (7, True)])
def test_unused_selector_opens_an_alert_after_a_long_silence(
    domain: Domain, silent_days: int, is_alerted: bool
) -> None:
    send(domain, range(silent_days, 34), GOOD)
    send(domain, range(1, silent_days), signed("s2"))
    alerts = opened(domain, "dkim.selector_gone")
    assert [(alert.subject, alert.severity) for alert in alerts.values()] == (
        [("s1", "low")] if is_alerted else []
    )


def test_selector_of_a_weekly_newsletter_is_not_unused(domain: Domain) -> None:
    send(domain, range(1, 34), GOOD)
    send(domain, range(5, 34, 7), signed("letter", 2000))
    assert "dkim.selector_gone" not in opened(domain)


def test_selector_is_not_unused_without_reports(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    assert "dkim.selector_gone" not in opened(domain)


@pytest.mark.parametrize(("usage", "is_alerted"), [("parked", True), ("both", False)])
def test_passing_mail_of_a_parked_domain_opens_an_alert(
    domain: Domain, usage: str, is_alerted: bool
) -> None:
    with transaction() as session:
        session.execute(update(Domain).values(usage=usage))
    send(domain, range(1, 3), GOOD, *forged(3, 9))
    alerts = opened(domain, "domain.parked_active")
    assert [alert.severity for alert in alerts.values()] == (["high"] if is_alerted else [])


def test_spoofed_parked_domain_is_not_active(domain: Domain) -> None:
    with transaction() as session:
        session.execute(update(Domain).values(usage="parked"))
    send(domain, range(1, 3), *forged(3, 90))
    assert opened(domain, "domain.parked_active") == {}

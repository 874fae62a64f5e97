"""Alerts on mail that is forged, of parked domains, and of selectors gone quiet."""

import pytest
from sqlalchemy import update

from app.db.transactions import transaction
from app.models import Domain
from app.protocols.report_formats.aggregate import DkimResult, Record
from tests.support.report_alerts import GOOD, opened, send
from tests.support.stored_reports import record


def forged(addresses: int, each: int, disposition: str = "reject") -> list[Record]:
    return [
        record(
            f"203.0.113.{number}",
            each,
            dkim=False,
            spf=False,
            disposition=disposition,
            dkim_results=(),
            spf_results=(),
        )
        for number in range(1, addresses + 1)
    ]


def test_forged_mail_from_many_addresses_is_told_with_what_became_of_it(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD, *forged(12, 5), *forged(12, 1, "none"))
    alert = opened(domain)["source.spoofing_suspected"]
    observed = alert.evidence["observed"]
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
def test_what_is_little_or_usual_is_not(
    domain: Domain, usual: list[Record], now_: list[Record]
) -> None:
    send(domain, range(4, 34), GOOD, *usual)
    send(domain, range(1, 3), GOOD, *now_)
    assert "source.spoofing_suspected" not in opened(domain)


def test_forgery_that_only_strangers_report_is_info(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD)
    send(domain, range(1, 3), *forged(12, 10), provenance="unverified", reporter="evil.test")
    assert opened(domain)["source.spoofing_suspected"].severity == "info"


def signed(selector: str, count: int = 40) -> Record:
    return record(count=count, dkim_results=(DkimResult("acme.test", selector, "pass"),))


@pytest.mark.parametrize(("silent_days", "is_told"), [(4, False), (7, True)])
def test_a_selector_that_signs_no_more_is_told_once_it_is_silent_for_long(
    domain: Domain, silent_days: int, is_told: bool
) -> None:
    send(domain, range(silent_days, 34), GOOD)
    send(domain, range(1, silent_days), signed("s2"))
    found = opened(domain, "dkim.selector_gone")
    assert [(alert.subject, alert.severity) for alert in found.values()] == (
        [("s1", "low")] if is_told else []
    )


def test_the_selector_of_a_weekly_letter_is_not_gone_between_two(domain: Domain) -> None:
    send(domain, range(1, 34), GOOD)
    send(domain, range(5, 34, 7), signed("letter", 2000))
    assert "dkim.selector_gone" not in opened(domain)


def test_a_selector_is_not_gone_for_want_of_reports(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    assert "dkim.selector_gone" not in opened(domain)


@pytest.mark.parametrize(("usage", "is_told"), [("parked", True), ("both", False)])
def test_a_parked_domain_of_which_mail_passes_is_told(
    domain: Domain, usage: str, is_told: bool
) -> None:
    with transaction() as session:
        session.execute(update(Domain).values(usage=usage))
    send(domain, range(1, 3), GOOD, *forged(3, 9))
    found = opened(domain, "domain.parked_active")
    assert [alert.severity for alert in found.values()] == (["high"] if is_told else [])


def test_a_parked_domain_that_is_only_forged_is_not_active(domain: Domain) -> None:
    with transaction() as session:
        session.execute(update(Domain).values(usage="parked"))
    send(domain, range(1, 3), *forged(3, 90))
    assert opened(domain, "domain.parked_active") == {}

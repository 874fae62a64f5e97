"""No alert above info and no readiness verdict depends on unverified reports."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.analysis.mail.periods import Window
from app.db.transactions import transaction
from app.models import Alert, Domain, ObservedSelector
from app.protocols.report_formats.aggregate import DkimResult, Record, SpfResult
from app.services.analytics import policy
from app.services.filing import processor
from app.services.ingest import files
from app.services.monitoring import report_monitor
from tests.support.report_alerts import GOOD, RUA, failing_record, midnight, send, store_dmarc_facts
from tests.support.report_documents import dmarc_xml
from tests.support.stored_reports import DAY, record, store_tls_report, tls_failure, tls_policy

Forge = Callable[[Domain, str], None]
MAILCHIMP = SpfResult("x.mcsv.net", "mfrom", "pass")


def failing_flood(domain: Domain, provenance: str) -> None:
    send(domain, range(1, 3), failing_record(90_000), provenance=provenance)


def failing_own_server(domain: Domain, provenance: str) -> None:
    own = record(count=50_000, dkim=False, spf=False, spf_results=GOOD.spf_results)
    send(domain, range(1, 30), own, provenance=provenance)


def passing_flood(domain: Domain, provenance: str) -> None:
    send(domain, range(1, 30), record(count=10**9), provenance=provenance)


def new_source(domain: Domain, provenance: str) -> None:
    send(domain, range(1, 3), failing_record(900, spf_results=(MAILCHIMP,)), provenance=provenance)


def same_new_source_passes(domain: Domain, provenance: str) -> None:
    """A new source that trusted reports show as passing, and the forged ones as failing."""
    passing = record("203.0.113.7", 60, spf_results=(MAILCHIMP,), spf=False)
    send(domain, range(1, 3), passing)
    failing = failing_record(9_000, spf_results=(MAILCHIMP,))
    send(domain, range(1, 3), failing, provenance=provenance)


def reporter_that_stops(domain: Domain, provenance: str) -> None:
    send(domain, range(20, 34), GOOD, reporter="made-up.example", provenance=provenance)


def spoofing(domain: Domain, provenance: str) -> None:
    rows = [
        record(f"203.0.113.{n}", 90, dkim=False, spf=False, dkim_results=(), spf_results=())
        for n in range(1, 30)
    ]
    send(domain, range(1, 3), *rows, provenance=provenance)


def failing_selector(domain: Domain, provenance: str) -> None:
    failing = record(count=9_000, dkim=False, dkim_results=(DkimResult("acme.test", "s1", "fail"),))
    send(domain, range(1, 3), failing, provenance=provenance)


def subdomain(domain: Domain, provenance: str) -> None:
    rows = record(count=900, header_from="shop.acme.test")
    send(domain, range(1, 3), rows, provenance=provenance)


def parked(domain: Domain, provenance: str) -> None:
    with transaction() as session:
        session.execute(update(Domain).values(usage="parked"))
    send(domain, range(1, 3), record(count=900), provenance=provenance)


def tls_failures(domain: Domain, provenance: str) -> None:
    at = midnight(1) + DAY / 2
    store_tls_report(domain, [tls_policy(successful=500)], at=at)
    failed = tls_policy(failed=9_000, failures=[tls_failure(sessions=9_000, mx="mx.acme.test")])
    store_tls_report(domain, [failed], at=at, reporter="evil.test", provenance=provenance)


def anything(seed: int) -> Forge:
    def forge(domain: Domain, provenance: str) -> None:
        choose = random.Random(seed)
        for _ in range(12):
            results: dict[str, Any] = {
                "dkim": choose.random() < 0.5,
                "spf": choose.random() < 0.5,
                "disposition": choose.choice(["none", "reject"]),
                "header_from": choose.choice(["acme.test", "acme.test", "x.acme.test"]),
                "spf_results": choose.choice([(), (MAILCHIMP,), GOOD.spf_results]),
                "dkim_results": (
                    DkimResult("acme.test", choose.choice("ab"), choose.choice(["pass", "fail"])),
                ),
            }
            address = choose.choice(["192.0.2.1", f"203.0.113.{choose.randrange(200)}"])
            row: Record = record(address, 10 ** choose.randrange(8), **results)
            first = choose.randrange(1, 30)
            days = range(first, first + choose.randrange(1, 14))
            reporter = choose.choice(["google.com", "made-up.example"])
            send(domain, days, row, reporter=reporter, provenance=provenance)

    return forge


def above_info(domain: Domain) -> set[tuple[str, str, str]]:
    """(type, subject, severity) of the open alerts above info, after one evaluation."""
    report_monitor.evaluate_domain(domain.id)
    with transaction(readonly=True) as session:
        alerts = session.scalars(
            select(Alert).where(Alert.status == "open", Alert.severity != "info")
        ).all()
    return {(alert.type, alert.subject, alert.severity) for alert in alerts}


def readiness(domain: Domain) -> Any:
    """The complete readiness verdict."""
    end = datetime.now(UTC)
    assessment = policy.assess_readiness(
        domain.account_id, domain.name, Window.between(end - timedelta(days=30), end)
    )
    steps = [
        (
            step.tag,
            step.is_ready,
            step.legitimate_failing,
            step.spoofed,
            [(blocker.source.key, blocker.messages) for blocker in step.blockers],
        )
        for step in assessment.steps
    ]
    return assessment.evidence, steps


FORGERIES: list[Forge] = [
    failing_flood,
    failing_own_server,
    passing_flood,
    new_source,
    same_new_source_passes,
    reporter_that_stops,
    spoofing,
    failing_selector,
    subdomain,
    parked,
    tls_failures,
    *map(anything, range(4)),
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_forged_reports_open_no_alert_above_info_and_do_not_change_readiness(
    domain: Domain, forge: Forge
) -> None:
    store_dmarc_facts(domain, RUA)
    send(domain, range(4, 34), GOOD, failing_record(2))
    if forge is not parked:
        send(domain, range(1, 4), GOOD)
    before = above_info(domain), readiness(domain)
    forge(domain, "unverified")
    after = above_info(domain), readiness(domain)
    if forge is same_new_source_passes:  # its trusted part is a passing new source
        assert {alert[0] for alert in after[0] - before[0]} <= {"source.new"}
    else:
        assert after == before


@pytest.mark.parametrize(
    "forge",
    [failing_flood, failing_own_server, new_source, spoofing, failing_selector, tls_failures],
)
def test_same_reports_count_once_they_are_trusted(domain: Domain, forge: Forge) -> None:
    store_dmarc_facts(domain, RUA)
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 4), GOOD)
    before = above_info(domain), readiness(domain)
    forge(domain, "token")
    assert (above_info(domain), readiness(domain)) != before


def test_readiness_is_unknown_with_a_reason_if_all_reports_are_unverified(
    domain: Domain,
) -> None:
    store_dmarc_facts(domain, RUA)
    send(domain, range(1, 34), GOOD, failing_record(60), provenance="unverified")
    end = datetime.now(UTC)
    readiness = policy.assess_readiness(
        domain.account_id, domain.name, Window.between(end - timedelta(days=30), end)
    )
    assert [step.is_ready for step in readiness.steps] == [None] * len(readiness.steps)
    assert any("unverified" in text for text in readiness.unmet_requirements)
    assert above_info(domain) == set()


def test_scans_use_selectors_of_trusted_reports_only(domain: Domain) -> None:
    def selectors() -> list[str]:
        processor.run([])
        with transaction(readonly=True) as session:
            return list(session.scalars(select(ObservedSelector.selector)))

    files.store(domain.account_id, dmarc_xml(report_id="1"), received_via="http")
    assert selectors() == []
    files.store(domain.account_id, dmarc_xml(report_id="2"), received_via="upload")
    assert selectors() != []

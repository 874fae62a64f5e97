"""The domain that TLS and failure reports belong to, and which of them are the same report."""

import json
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.models import ReportFile, TlsPolicy
from app.services.filing import processor
from app.services.ingest import files
from tests.support.factories import make_account, make_domain
from tests.support.report_documents import failure_mail, tls_json


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def store_file(account_id: UUID, raw: bytes, file_name: str | None = None) -> ReportFile:
    """The file after it was processed."""
    taken = files.store(account_id, raw, received_via="http", file_name=file_name).file
    processor.run([taken.id])
    with transaction(readonly=True) as session:
        return session.get_one(ReportFile, taken.id)


@pytest.mark.parametrize(
    ("type", "domain", "state"),
    [
        ("tlsa", "acme.test", "parsed"),
        ("tlsa", "mx1.mail.acme.test", "parsed"),
        ("tlsa", "mx.provider.test", "unattributed"),
        ("no-policy-found", "acme.test", "parsed"),
        ("no-policy-found", "sub.acme.test", "parsed"),
    ],
)
def test_tls_report_is_attributed_to_the_domain_at_or_above_its_policy(
    account_id: UUID, type: str, domain: str, state: str
) -> None:
    report = json.loads(tls_json(domain))
    report["policies"][0]["policy"] = {"policy-type": type, "policy-domain": domain}
    report_file = store_file(account_id, json.dumps(report).encode())
    assert (report_file.status, report_file.policy_domain) == (state, domain)
    rows = [] if state == "unattributed" else [(type, 40, 2)]
    with transaction(readonly=True) as session:
        policies = session.scalars(select(TlsPolicy)).all()
    assert [(policy.policy_type, policy.successful, policy.failed) for policy in policies] == rows


def test_tls_report_prefers_its_policy_domain_over_a_mail_host(account_id: UUID) -> None:
    make_domain(account_id, "hosts.test")
    report = json.loads(tls_json())
    host = {"policy-type": "tlsa", "policy-domain": "mx.hosts.test"}
    report["policies"].insert(0, {**report["policies"][0], "policy": host})
    report_file = store_file(account_id, json.dumps(report).encode())
    assert (report_file.status, report_file.policy_domain) == ("parsed", "acme.test")


@pytest.mark.parametrize(
    ("policy", "file_name", "domain"),
    [
        ({"policy-type": "no-policy-found"}, "rx.test!acme.test!1!2.json", "acme.test"),
        (
            {"policy-type": "tlsa", "policy-domain": "mx.hosts.test"},
            "rx.test!acme.test!1!2.json",
            "acme.test",
        ),
        (
            {"policy-type": "sts", "policy-domain": "acme.test"},
            "rx.test!hosts.test!1!2.json",
            "acme.test",
        ),
        ({"policy-type": "no-policy-found"}, "report.json", None),
    ],
)
def test_file_name_says_for_whom_a_tls_report_without_a_domain_is(
    account_id: UUID, policy: dict[str, str], file_name: str, domain: str | None
) -> None:
    make_domain(account_id, "hosts.test")
    report = json.loads(tls_json())
    report["policies"][0]["policy"] = policy
    file = store_file(account_id, json.dumps(report).encode(), file_name)
    assert file.policy_domain == domain
    assert (file.status == "parsed") == (domain is not None)


@pytest.mark.parametrize(
    "field", ["TLS-Report-Domain: acme.test", "Subject: Report Domain: acme.test Submitter: rx"]
)
def test_mail_says_for_whom_a_tls_report_without_a_domain_is(account_id: UUID, field: str) -> None:
    report = json.loads(tls_json())
    report["policies"][0]["policy"] = {"policy-type": "no-policy-found"}
    header = f"From: a@rx.test\r\nTo: b@acme.test\r\n{field}\r\nContent-Type: application/json"
    file = store_file(account_id, f"{header}\r\n\r\n{json.dumps(report)}".encode())
    assert (file.status, file.policy_domain) == ("parsed", "acme.test")


def test_failure_reports_with_different_unreadable_addresses_are_two(account_id: UUID) -> None:
    statuses = [store_file(account_id, failure_mail(ip=ip)).status for ip in ("host-a", "host-b")]
    assert statuses == ["parsed", "parsed"]

"""Hostile senders of one account delay neither other accounts nor its own uploads."""

import time
from collections import Counter
from uuid import UUID

from sqlalchemy import func, select

from app.db.transactions import transaction
from app.models import DailyIngestUsage, ReportFile
from app.services.api_keys import upload_tokens
from app.services.ingest import tokens
from tests.e2e.service import Service, wait_for
from tests.support.factories import ACTOR, make_domain
from tests.support.hostile_mails import poisoned
from tests.support.report_documents import dmarc_xml

POISONED_FILES, JUNK_FILES = 100, 605
MAX_DELAY_SECONDS = 5.0


def poison(service: Service, account_id: UUID, honest_id: UUID) -> str:
    """Files of one account that are expensive to parse delay no report of another account."""
    make_domain(account_id, "shop.example")
    make_domain(honest_id, "d1.test")
    hostile, honest = _address(account_id), _address(honest_id)
    usual = _seconds_until_parsed(service, honest, honest_id, "before")
    for number in range(POISONED_FILES):
        answer = service.call("POST", hostile, body=poisoned(number))
        assert answer.status == 202, answer
    delayed = _seconds_until_parsed(service, honest, honest_id, "meanwhile")
    waiting = _states(account_id)["received"]
    wait_for(lambda: not _states(account_id)["received"], "the poisoned files", 300)
    assert delayed - usual < MAX_DELAY_SECONDS, f"{delayed:.1f} s, {usual:.1f} s without them"
    return (
        f"{POISONED_FILES} poisoned files, {waiting} still waiting: another account's report after"
        f" {delayed:.1f} s ({usual:.1f} s without them); CPU {_cpu_seconds(account_id):.1f} s,"
        f" {dict(_states(account_id))}"
    )


def flood(service: Service, account_id: UUID) -> str:
    """Junk of unknown senders uses up neither the rate nor the quota of the account's uploads."""
    make_domain(account_id, "d2.test")
    service.restart(
        "web", INGEST_RATE_LIMIT="600 per minute", INGEST_SOURCE_RATE_LIMIT="300 per minute"
    )
    address = _address(account_id)
    junk = Counter(
        service.call("POST", address, body=b"junk %d" % number).status
        for number in range(JUNK_FILES)
    )
    assert junk[429], junk
    token = upload_tokens.issue(account_id, "mail server", actor=ACTOR)[1]
    answer = service.call("POST", address, token, body=dmarc_xml("d2.test", "own"))
    assert answer.status == 202, answer
    wait_for(lambda: _states(account_id)["parsed"] == 1, "the own upload", 60)
    return f"{JUNK_FILES} junk posts: {dict(junk)}; own upload {answer.status}, parsed"


def _address(account_id: UUID) -> str:
    return f"/ingest/{tokens.create(account_id, actor=ACTOR).token}"


def _seconds_until_parsed(service: Service, address: str, account_id: UUID, name: str) -> float:
    parsed = _states(account_id)["parsed"]
    started = time.monotonic()
    assert service.call("POST", address, body=dmarc_xml("d1.test", name)).status == 202
    wait_for(lambda: _states(account_id)["parsed"] > parsed, "the honest report", 300)
    return time.monotonic() - started


def _states(account_id: UUID) -> Counter[str]:
    with transaction(readonly=True) as session:
        return Counter(
            session.scalars(select(ReportFile.status).where(ReportFile.account_id == account_id))
        )


def _cpu_seconds(account_id: UUID) -> float:
    with transaction(readonly=True) as session:
        used = select(func.sum(DailyIngestUsage.cpu_ms)).where(
            DailyIngestUsage.account_id == account_id
        )
        return (session.scalar(used) or 0) / 1000

"""Registries agree with what they register."""

import re

from app.api.http.endpoint import ENDPOINTS
from app.channels.registry import CHANNEL_TYPES
from app.checks import CHECKS
from app.jobs import queue
from app.mailboxes.options import Kind
from app.mailboxes.registry import MAILBOX_TYPES
from app.rules import RULES
from tests.support.paths import ROOT
from worker import jobs


def test_codes_are_unique_and_begin_with_their_check() -> None:
    codes = [finding_type.code for check in CHECKS for finding_type in check.finds]
    assert len(codes) == len(set(codes))
    for check in CHECKS:
        for finding_type in check.finds:
            assert re.fullmatch(rf"{check.name}\.[a-z0-9_]+", finding_type.code), finding_type.code


def test_each_alert_type_has_one_rule() -> None:
    types = [type for rule in RULES for type in rule.types]
    assert len(types) == len(set(types))


def test_every_job_that_is_enqueued_exists() -> None:
    text = (ROOT / "app" / "jobs" / "queue.py").read_text()
    assert set(re.findall(r'"(worker\.jobs\.\w+)"', text)) == set(jobs.JOBS)
    assert queue.QUEUES == (queue.SCANS, queue.INGEST, queue.DELIVERY)


def test_every_endpoint_has_a_summary() -> None:
    assert all(endpoint.summary for endpoint in ENDPOINTS.values())


def test_every_channel_type_is_complete() -> None:
    for name, type in CHANNEL_TYPES.items():
        texts = (type.label, type.description, type.target_hint, type.target_field)
        assert type.name == name
        assert all(texts), name


def test_every_mailbox_type_is_complete() -> None:
    for name, type in MAILBOX_TYPES.items():
        assert type.type == name
        assert len(name) <= 20
        assert type.label
        assert type.description.endswith(".")
        for field, option in type.options().items():
            assert option.label, f"{name}.{field}"
            assert not option.hint or option.hint.endswith("."), f"{name}.{field}"


def test_options_of_one_name_are_of_one_kind() -> None:
    """The options of all types are options of one command."""
    kinds: dict[str, Kind] = {}
    for type in MAILBOX_TYPES.values():
        for field, option in type.options().items():
            assert kinds.setdefault(field, option.kind) is option.kind, field

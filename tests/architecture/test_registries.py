"""Registries agree with what they register."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from app.api.http.endpoint import ENDPOINTS
from app.channels.registry import CHANNEL_TYPES
from app.checks import CHECKS
from app.jobs import queue
from app.mailboxes.registry import MAILBOX_TYPES
from app.options.fields import Kind
from app.rules import RULES
from app.sinks.registry import SINK_TYPES
from tests.support.paths import ROOT
from worker import jobs

OPTION_TYPES: Mapping[str, Mapping[str, Any]] = {"mailboxes": MAILBOX_TYPES, "sinks": SINK_TYPES}


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


TYPES = [pytest.param(types, id=name) for name, types in OPTION_TYPES.items()]


@pytest.mark.parametrize("types", TYPES)
def test_every_type_of_mailboxes_and_sinks_is_complete(types: Mapping[str, Any]) -> None:
    for name, config in types.items():
        assert config.type == name
        assert len(name) <= 16
        assert config.label
        assert config.description.endswith(".")
        for field, option in config.options().items():
            assert option.label, f"{name}.{field}"
            assert not option.hint or option.hint.endswith("."), f"{name}.{field}"
            assert "optional" not in option.label, f"{name}.{field}"


@pytest.mark.parametrize("types", TYPES)
def test_options_of_one_name_are_of_one_kind(types: Mapping[str, Any]) -> None:
    """The options of all types are options of one command."""
    kinds: dict[str, Kind] = {}
    for config in types.values():
        for field, option in config.options().items():
            assert kinds.setdefault(field, option.kind) is option.kind, field


@pytest.mark.parametrize("types", TYPES)
def test_an_option_is_needed_with_values_that_other_options_can_have(
    types: Mapping[str, Any],
) -> None:
    for config in types.values():
        for option in config.options().values():
            for name, values in (option.needed_with or {}).items():
                assert set(values) < set(config.options()[name].choices), option.label


def test_a_sink_has_one_secret_at_most() -> None:
    for config in SINK_TYPES.values():
        assert sum(option.is_secret for option in config.options().values()) <= 1

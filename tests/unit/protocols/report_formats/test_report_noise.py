"""Noise in TLS and failure reports that does not change the figures does not change the outcome."""

import codecs
import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from app.protocols.report_formats import failure
from app.protocols.report_formats.tls_rpt import tls, tls_figures
from app.protocols.report_formats.tls_rpt.tls import TlsReport
from tests.support.report_cases import NOW

Report = dict[str, Any]
DOMAIN = "shop.example"
HEADERS = b"Subject: Hello\r\nFrom: a@shop.example\r\n"
SEEDS = range(150)


def tls_report(source: random.Random) -> Report:
    """A valid TLS report with some policies and failure details."""
    policies = []
    for kind in source.choices(tls.POLICY_TYPES, k=source.randint(1, 3)):
        details = [
            {
                "result-type": source.choice(tls.RESULT_TYPES),
                "sending-mta-ip": "192.0.2.9",
                "receiving-mx-hostname": "mx.shop.example",
                "failed-session-count": source.randint(1, 9),
            }
            for _ in range(source.randint(0, 3))
        ]
        policies.append(
            {
                "policy": {"policy-type": kind, "policy-domain": DOMAIN, "mx-host": ["mx.a.test"]},
                "summary": {
                    "total-successful-session-count": source.randint(0, 99),
                    "total-failure-session-count": source.randint(0, 99),
                },
                "failure-details": details,
            }
        )
    return {
        "organization-name": "Receiver",
        "contact-info": "tls@receiver.test",
        "report-id": f"r{source.random()}",
        "date-range": {
            "start-datetime": "2026-01-01T00:00:00Z",
            "end-datetime": "2026-01-01T23:59:59Z",
        },
        "policies": policies,
    }


def changed(value: Any, change: Callable[[str, Any], tuple[str, Any]]) -> Any:
    """The value with a change to every member of every object."""
    if isinstance(value, list):
        return [changed(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    return dict(change(name, changed(member, change)) for name, member in value.items())


def other_names(report: Report, source: random.Random) -> Report:
    spell = source.choice(
        (
            lambda name: name.replace("-", "_"),
            lambda name: re.sub("-([a-z])", lambda match: match[1].upper(), name),
            lambda name: name.upper(),
        )
    )
    return dict(changed(report, lambda name, member: (spell(name), member)))


def other_numbers(report: Report, source: random.Random) -> Report:
    write = source.choice((str, float, lambda number: f" {number}.0 "))

    def change(name: str, member: Any) -> tuple[str, Any]:
        return name, write(member) if type(member) is int else member

    return dict(changed(report, change))


def other_order(report: Report, source: random.Random) -> Report:
    source.shuffle(report["policies"])
    for policy in report["policies"]:
        source.shuffle(policy["failure-details"])
    names = list(report)
    source.shuffle(names)
    return {name: report[name] for name in names}


def divided(report: Report, source: random.Random) -> Report:
    """The same sums in two policies instead of one."""
    policy = source.choice(report["policies"])
    first, second = json.loads(json.dumps(policy)), json.loads(json.dumps(policy))
    for name, number in policy["summary"].items():
        part = source.randint(0, number)
        first["summary"][name], second["summary"][name] = part, number - part
    second["failure-details"] = []
    rest = [item for item in report["policies"] if item is not policy]
    return {**report, "policies": [*rest, first, second]}


def other_dates(report: Report, source: random.Random) -> Report:
    forms = (
        ("2026-01-01 00:00:00 +0000 UTC", "2026-01-01 23:59:59 +0000 UTC"),
        ("2026-01-01T01:00:00.000+01:00", "2026-01-02T00:59:59.999+01:00"),
        ("2026-01-01 00:00:00", "2026-01-01T23:59:59"),
        ("2026-01-01", "2026-01-01"),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 23:59:59 +0000"),
        (1767225600, 1767311999),
    )
    start, end = source.choice(forms)
    return {**report, "date-range": {"start-datetime": start, "end-datetime": end}}


def other_texts(report: Report, source: random.Random) -> Report:
    report = {**report, "organization-name": source.choice(("", "Other\n", "é" * 2_000, None))}
    report["contact-info"] = source.choice((None, {"a": 1}, "x@y.test", ["a@b.test"], 5))
    return {**report, "unknown": [{"a": None}], "version": 1}


def no_arrays(report: Report, source: random.Random) -> Report:
    """Arrays of one are written as an object, or a text."""

    def change(name: str, member: Any) -> tuple[str, Any]:
        return name, member[0] if isinstance(member, list) and len(member) == 1 else member

    return dict(changed(report, change))


def encoded(report: Report, source: random.Random) -> bytes:
    text = json.dumps(report, indent=source.choice((None, 2)), ensure_ascii=source.random() < 0.5)
    if source.random() < 0.3:
        text = re.sub(r"([^{\[,\s])\s*([}\]])", r"\1,\2", text)
    form = source.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "array"))
    if form == "array":
        return f"[{text}]\r\n\0".encode()
    mark = codecs.BOM_UTF16_BE if form == "utf-16-be" else b""
    return mark + text.encode(form)


# In the order in which they can be combined.
NOISE = (divided, other_order, other_dates, other_texts, other_numbers, no_arrays, other_names)


def sums(report: TlsReport) -> tuple[int, int]:
    policies = report.policies
    return sum(p.successful for p in policies), sum(p.failed for p in policies)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_in_a_tls_report_does_not_change_its_figures(seed: int) -> None:
    source = random.Random(seed)
    report = tls_report(source)
    clean = tls.parse(json.dumps(report).encode(), NOW)
    noisy = json.loads(json.dumps(report))
    for change in sorted(source.sample(NOISE, 3), key=NOISE.index):
        noisy = change(noisy, source)
    read = tls.parse(encoded(noisy, source), NOW)
    assert sums(read) == sums(clean)
    assert tls_figures.digest(read) == tls_figures.digest(clean)
    assert read.skipped == tls.Skipped()


@pytest.mark.parametrize("seed", SEEDS)
def test_read_and_skipped_sessions_of_a_tls_report_are_all_sessions(seed: int) -> None:
    source = random.Random(seed)
    report = tls_report(source)
    report["policies"] += tls_report(source)["policies"]
    whole = tls.parse(json.dumps(report).encode(), NOW)
    bad_policy = source.choice(report["policies"])
    bad_policy["policy"] = source.choice((None, "sts", [], {"policy-domain": "a b"}))
    for policy in report["policies"]:
        for detail in policy["failure-details"]:
            if source.random() < 0.3:
                del detail["result-type"]
    read = tls.parse(json.dumps(report).encode(), NOW)
    assert sum(sums(read)) + read.skipped.sessions == sum(sums(whole))
    details = sum(len(policy["failure-details"]) for policy in report["policies"])
    lost = len(bad_policy["failure-details"])
    readable = sum(len(policy.failures) for policy in read.policies)
    assert readable + read.skipped.details + lost == details
    assert read.skipped.policies == 1


def test_other_figures_of_a_tls_report_have_another_digest() -> None:
    report = tls_report(random.Random(1))
    before = tls_figures.digest(tls.parse(json.dumps(report).encode(), NOW))
    report["policies"][0]["summary"]["total-successful-session-count"] += 1
    assert tls_figures.digest(tls.parse(json.dumps(report).encode(), NOW)) != before


FIELDS = {
    "Feedback-Type": "auth-failure",
    "Auth-Failure": "dmarc",
    "Source-IP": "203.0.113.8",
    "Arrival-Date": "Thu, 01 Jan 2026 00:00:00 +0000",
    "Reported-Domain": "shop.example",
    "Identity-Alignment": "none",
    "Delivery-Result": "reject",
}
ADDRESS_FORMS = ("[{}]", "{} (mx.sender.test)", "mx.sender.test [{}]", "{}:25", "ipv4:{}", "<{}>")


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_in_a_failure_report_does_not_change_its_content(seed: int) -> None:
    source = random.Random(seed)
    fields = dict(FIELDS)
    fields["Source-IP"] = source.choice(ADDRESS_FORMS).format(fields["Source-IP"])
    if source.random() < 0.5:
        del fields["Feedback-Type"]
    lines = []
    for name, value in source.sample(sorted(fields.items()), len(fields)):
        noise = source.choice(("", " (a comment)", " (nested (comment))", "\r\n (folded)", "  "))
        spelled = source.choice((name, name.upper(), name.lower()))
        lines.append(spelled + source.choice((": ", ":\t", " :")) + value + noise)
    lines.append("X-Unknown: \ufffd")
    text = source.choice(("\n", "\r\n")).join(lines)
    report = failure.parse(text.encode(), HEADERS, NOW)
    assert (report.source_ip, report.arrived_at) == ("203.0.113.8", 1767225600)
    assert (report.auth_failure, report.reported_domain) == (("dmarc",), "shop.example")
    assert (report.delivery_result, report.identity_alignment) == ("reject", ())
    assert len(report.warnings) == ("Feedback-Type" not in fields)

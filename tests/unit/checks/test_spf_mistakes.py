"""The spf check: modifiers that receivers ignore, and several records with mistakes."""

from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject
from app.checks.spf import spf
from app.protocols.names import DomainName
from tests.support.zones import Zone

DOMAIN = "example.org"
SUBJECT = Subject(DomainName(DOMAIN))
NINE, SIX = "ip4:192.0.2.9", "ip6:2001:db8::1"
OTHERS: dict[Any, Any] = {
    (DOMAIN, "MX"): ["10 mx.example.org"],
    ("mx.example.org", "A"): ["192.0.2.2"],
    "_spf.example.net": ["v=spf1 ip4:198.51.100.0/24 -all"],
}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("v=spf1 mx ip4=192.0.2.9 -all", f"v=spf1 mx {NINE} -all"),
        ("v=spf1 mx IP=2001:db8::1 -all", f"v=spf1 mx {SIX} -all"),
        ("v=spf1 mx -all ip4=192.0.2.9", f"v=spf1 mx {NINE} -all"),
        ("v=spf1 mx include=_spf.example.net -all", "v=spf1 mx include:_spf.example.net -all"),
        (
            "v=spf1 a=mx.example.org mx=example.org -all",
            "v=spf1 a:mx.example.org mx:example.org -all",
        ),
        ("v=spf1 redirct=_spf.example.net", "v=spf1 redirect=_spf.example.net"),
        ("v=spf1 mx a=192.0.2.9 -all", f"v=spf1 mx {NINE} -all"),
        ("v=spf1 mx include=gone.example.net -all", None),  # it has no SPF record
        ("v=spf1 mx a= -all", None),
        ("v=spf1 mx ip4=192.0.2.999 -all", None),
        ("v=spf1 mx all=no -all", None),
        ("v=spf1 mx redirct=_spf.example.net -all", None),  # all would make it useless
    ],
)
async def test_modifier_that_was_meant_to_be_another_term_has_a_fix(
    text: str, after: str | None
) -> None:
    result = await run_check(spf, SUBJECT, Zone(OTHERS | {DOMAIN: [text]}))
    finding = next(item for item in result.findings if item.kind.code == "spf.ignored_modifier")
    assert (finding.fix.after if finding.fix else None) == after
    others = [item.fix for item in result.findings if item.kind.code != "spf.ignored_modifier"]
    assert not any(others) or after is None  # another fix would keep the mistake


@pytest.mark.parametrize(
    ("texts", "after", "malformed"),
    [
        (["v=spf1 mx -all", "v=spf1 ipv4:192.0.2.9 ~all"], f"v=spf1 {NINE} mx -all", None),
        (["v=spf1 mx -all", "v=spf1 ip4=192.0.2.9 ~all"], f"v=spf1 {NINE} mx -all", None),
        (
            ["v=spf1 mx -all", "v=spf1 nonsense -all"],
            None,
            ["nonsense: nonsense is not an SPF mechanism"],
        ),
    ],
)
async def test_malformed_one_of_several_records_is_repaired_or_explained(
    texts: list[str], after: str | None, malformed: list[str] | None
) -> None:
    result = await run_check(spf, SUBJECT, Zone(OTHERS | {DOMAIN: texts}))
    [finding] = result.findings
    assert (finding.fix.after if finding.fix else None) == after
    assert finding.evidence.get("malformed") == malformed

"""The record that restores a weakened policy undoes no other change."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.policy import proposals
from app.protocols.transport import tls_rpt

POLICIES = ("none", "quarantine", "reject")
MAILBOXES = st.lists(
    st.sampled_from(["mailto:a@acme.test", "mailto:b@acme.test", "mailto:c@acme.test"]),
    max_size=2,
    unique=True,
)
OLD = "v=DMARC1; p=reject; rua=mailto:a@acme.test"


@st.composite
def records(draw: Any) -> str:
    """A DMARC record, sometimes with a mistake that people make."""
    parts = ["v=DMARC1", f"p={draw(st.sampled_from(POLICIES))}"]
    parts += draw(st.sampled_from([[], ["sp=none"], ["sp=reject"], ["np=quarantine"], ["t=y"]]))
    parts += draw(st.sampled_from([[], ["adkim=s"], ["aspf=s"], ["fo=1"], ["fo=9"], ["pct=50"]]))
    for tag in ("rua", "ruf"):
        if uris := draw(MAILBOXES):
            parts.append(f"{tag}={','.join(uris)}")
    separator: str = draw(st.sampled_from(["; ", "; ", "; ", ";", " ", r"\; "]))
    return separator.join(parts)


@given(
    before=st.lists(records(), min_size=1, max_size=2),
    after=st.lists(records(), max_size=2),
)
def test_restored_record_keeps_what_was_and_what_is_published(
    before: list[str], after: list[str]
) -> None:
    proposal = proposals.restored(before, [*after, "unrelated"])
    if proposal is None:
        return
    current, text = proposal
    assert sorted(after) == (current.split("\n") if current else [])
    for old in [*(item for item in before if item.startswith("v=DMARC1;")), *after]:
        assert _strength(old) <= _strength(text), (old, text)
        for tag in ("rua", "ruf"):
            assert _mailboxes(old, tag) <= _mailboxes(text, tag), (old, text)
        for tag in ("adkim=s", "aspf=s"):
            assert tag in text or tag not in old, (old, text)
    assert re.fullmatch(r"v=DMARC1(?:; ?[a-z]+=[^;\\ ]+)+", text), text


def _strength(text: str) -> int:
    match = re.search(r"\bp=(\w+)", text)
    return POLICIES.index(match[1]) if match else 0


def _mailboxes(text: str, tag: str) -> set[str]:
    match = re.search(rf"{tag}=(\S+?)(?:[;\\ ]|$)", text)
    return set(re.findall(r"\w@acme", match[1])) if match else set()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([OLD], [OLD.replace("reject", "none")], OLD),
        ([OLD], ["v=DMARC1; p=none; rua=mailto:b@acme.test"], f"{OLD},mailto:b@acme.test"),
        ([OLD], ["v=DMARC1; p=none; ruf=mailto:f@acme.test"], f"{OLD}; ruf=mailto:f@acme.test"),
        ([OLD], ["v=DMARC1; p=none; adkim=s"], None),
        ([f"{OLD}; sp=none"], ["v=DMARC1; p=none; sp=quarantine"], None),
        ([OLD, OLD], ["v=DMARC1; p=none"], None),
        ([OLD], ["v=DMARC1; p=none; rua=mailto:a@"], None),
        ([f"{OLD}… [9 more characters; sha256 0123456789abcdef]"], ["v=DMARC1; p=none"], None),
        ([OLD], ["no record"], OLD),
        ([f"{OLD}; fo=9"], ["v=DMARC1; p=none"], OLD),
    ],
)
def test_previous_record_is_proposed_only_if_nothing_is_lost(
    before: list[str], after: list[str], expected: str | None
) -> None:
    proposal = proposals.restored(before, after)
    assert (proposal[1] if proposal else None) == expected


URI = "https://watch.test/t"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, f"v=TLSRPTv1; rua={URI}"),
        ("v=TLSRPTv1; rua=mailto:a@acme.test", f"v=TLSRPTv1; rua=mailto:a@acme.test,{URI}"),
        (f"v=TLSRPTv1; rua={URI}", f"v=TLSRPTv1; rua={URI}"),
        ("v=TLSRPTv1; x=y; rua=mailto:a@a.test;", f"v=TLSRPTv1; x=y; rua=mailto:a@a.test,{URI}"),
        ("v=TLSRPTv1; rua=a@acme.test", None),
        ("v=TLSRPTv1; rua=mailto:a@a.test; rua=mailto:b@a.test", None),
        ("v=TLSRPTv1 rua=mailto:a@a.test", None),
    ],
)
def test_address_is_added_to_the_published_tls_rpt_record(
    text: str | None, expected: str | None
) -> None:
    assert tls_rpt.with_address(text, URI) == expected

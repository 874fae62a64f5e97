"""Unused SPF terms and DKIM selectors, and subdomains in the From field."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.mail import unused
from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Context, Flow, Source, gather
from app.analysis.mail.spf_paths import SpfPaths
from app.analysis.mail.unused import SelectorUse, TermUse
from tests.support.identities import SPF, identity

OWN_SPF = (("acme.test", "mfrom", "pass"),)
FAR = "203.0.113.9"  # in no term of the record


def uses(flows: list[Flow], *identities: Identity) -> tuple[list[Source], dict[int, Identity]]:
    numbered = dict(enumerate(identities))
    return gather(flows, numbered, Context("acme.test", spf=SPF)), numbered


def flow(address: str, messages: int, number: int = 0, first_hour: int = 100) -> Flow:
    return Flow(
        source_ip=address, identity=number, messages=messages, first_hour=first_hour, last_hour=200
    )


def terms(
    flows: list[Flow], *identities: Identity, spf: SpfPaths = SPF, days: int = 14
) -> list[TermUse]:
    sources, numbered = uses(flows, *identities)
    return unused.terms(spf, sources, numbered, days)


def test_spf_term_is_used_by_mail_that_passes_by_it() -> None:
    uses = terms(
        [flow("192.0.2.1", 5), flow("198.51.100.7", 7), flow("198.51.100.8", 1)],
        identity(spf=True, spf_results=OWN_SPF),
    )
    assert [(use.term, use.messages, use.is_certain) for use in uses] == [
        ("ip4:192.0.2.1", 5, True),
        ("include:_spf.google.com", 8, True),
    ]


@pytest.mark.parametrize(
    "results",
    [(), (("acme.test", "mfrom", "fail"),), (("bounce.google.com", "mfrom", "pass"),)],
)
def test_mail_that_fails_or_passes_for_other_domain_uses_no_term(results: Any) -> None:
    uses = terms([flow("192.0.2.1", 5)], identity(spf_results=results))
    assert [use.messages for use in uses] == [0, 0]


def test_open_term_is_not_certainly_unused() -> None:
    spf = SpfPaths(
        "acme.test",
        [
            {
                "name": "acme.test",
                "type": "TXT",
                "values": ["v=spf1 mx include:gone.test ip4:192.0.2.1 -all"],
            }
        ],
    )
    passing = identity(spf=True, spf_results=OWN_SPF)
    certain = {use.term: use.is_certain for use in terms([flow("192.0.2.1", 1)], passing, spf=spf)}
    assert certain == {"mx": True, "include:gone.test": True, "ip4:192.0.2.1": True}
    unsure = {use.term: use.is_certain for use in terms([flow(FAR, 1)], passing, spf=spf)}
    assert unsure == {"mx": False, "include:gone.test": False, "ip4:192.0.2.1": True}


@pytest.mark.parametrize(("days", "is_certain"), [(0, False), (13, False), (14, True)])
def test_term_is_not_certainly_unused_with_few_reports(days: int, is_certain: bool) -> None:
    passing = identity(spf=True, spf_results=OWN_SPF)
    uses = terms([flow("192.0.2.1", 1)], passing, days=days)
    assert [use.is_certain for use in uses] == [is_certain, is_certain]


RESULTS = st.sampled_from(
    [(name, "mfrom", word) for name in ("acme.test", "other.test") for word in ("pass", "fail")]
)
PLACES = {  # of SPF and of one that has two terms for an address
    "192.0.2.1": ["ip4:192.0.2.0/24", "include:a.test"],
    "192.0.2.9": ["ip4:192.0.2.0/24"],
    "198.51.100.1": ["include:a.test"],
    FAR: [],
}
TWO = SpfPaths(
    "acme.test",
    [
        {
            "name": "acme.test",
            "type": "TXT",
            "values": [
                "v=spf1 ip4:192.0.2.0/24 include:a.test exists:%{i}.b.test ip4:198.18.0.1 -all"
            ],
        },
        {"name": "a.test", "type": "TXT", "values": ["v=spf1 ip4:192.0.2.1 ip4:198.51.100.1 -all"]},
    ],
)
SENT = st.lists(
    st.tuples(st.sampled_from(sorted(PLACES)), st.lists(RESULTS, max_size=2), st.integers(0, 50)),
    max_size=12,
)


@given(SENT, st.integers(12, 16))
def test_term_use_equals_messages_that_pass_by_it(
    sent: list[tuple[str, list[Any], int]], days: int
) -> None:
    identities = [identity(spf_results=tuple(results)) for _, results, _ in sent]
    flows = [flow(address, count, i) for i, (address, _, count) in enumerate(sent)]
    uses = terms(flows, *identities, spf=TWO, days=days)
    passed = [(ip, n) for ip, results, n in sent if ("acme.test", "mfrom", "pass") in results]
    strange = sum(n for ip, n in passed if ip == FAR)
    assert [(use.term, use.messages, use.is_certain) for use in uses] == [
        (
            term,
            sum(n for ip, n in passed if term in PLACES[ip]),
            days >= 14 and not (term.startswith("exists") and strange),
        )
        for term in ("ip4:192.0.2.0/24", "include:a.test", "exists:%{i}.b.test", "ip4:198.18.0.1")
    ]


SIGNED = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.sampled_from(["acme.test", "other.test"]),
                st.sampled_from(["", "a", "b"]),
                st.sampled_from(["pass", "fail", "policy"]),
            ),
            max_size=3,
            unique=True,
        ),
        st.integers(0, 50),
    ),
    max_size=12,
)


@given(SIGNED, st.dictionaries(st.sampled_from(["a", "c", "*"]), st.booleans()))
def test_selector_use_includes_all_signatures(
    sent: list[tuple[list[Any], int]], published: dict[str, bool]
) -> None:
    identities = [identity(dkim_results=tuple(results)) for results, _ in sent]
    sources, numbered = uses([flow(FAR, n, i) for i, (_, n) in enumerate(sent)], *identities)
    facts = {name: {"found": is_found} for name, is_found in published.items()}
    valid, failed = Counter[str](), Counter[str]()
    for results, count in sent:
        signed = {
            (name, word == "pass")
            for domain, name, word in results
            if domain == "acme.test" and name
        }
        for name, is_valid in signed:
            (valid if is_valid else failed)[name] += count
    names = {*valid, *failed, *published} - {"*"}
    assert {
        use.selector: use for use in unused.selectors("acme.test", numbered, sources, facts)
    } == {
        name: SelectorUse(
            selector=name,
            messages=valid[name],
            failed=failed[name],
            is_published=published.get(name),
        )
        for name in names
    }


def test_missing_record_has_no_terms() -> None:
    assert unused.terms(None, [], {}, 30) == []


def test_selectors_come_from_signatures_and_last_scan() -> None:
    sources, numbered = uses(
        [flow(FAR, 5), flow(FAR, 2, 1)],
        identity(dkim_results=(("acme.test", "s1", "pass"), ("other.test", "x", "pass"))),
        identity(
            dkim_results=(
                *(("acme.test", "s1", "fail"), ("acme.test", "s1", "permerror")),
                ("acme.test", "s2", "fail"),
            )
        ),
    )
    published = {"s1": {"found": True}, "old": {"found": True}, "gone": {"found": False}, "*": {}}
    assert unused.selectors("acme.test", numbered, sources, published) == [
        SelectorUse(selector="s1", messages=5, failed=2, is_published=True),
        SelectorUse(selector="gone", messages=0, failed=0, is_published=False),
        SelectorUse(selector="old", messages=0, failed=0, is_published=True),
        SelectorUse(selector="s2", messages=0, failed=2, is_published=None),
    ]


NAMES = st.sampled_from(["acme.test", "a.acme.test", "b.acme.test"])
FLOWS = st.lists(
    st.tuples(NAMES, st.booleans(), st.integers(1, 100), st.integers(50, 150)), max_size=20
)


@given(FLOWS)
def test_subdomains_include_all_their_messages(rows: list[tuple[str, bool, int, int]]) -> None:
    identities = [identity(header_from=name, dkim=passed) for name, passed, *_ in rows]
    flows = [flow(f"203.0.113.{i}", row[2], i, row[3]) for i, row in enumerate(rows)]
    sources, numbered = uses(flows, *identities)
    subdomains = unused.subdomains("acme.test", sources, numbered)
    assert {
        subdomain.name: (subdomain.messages, subdomain.passed, subdomain.first_hour)
        for subdomain in subdomains
    } == {
        name: (
            sum(row[2] for row in rows if row[0] == name),
            sum(row[2] for row in rows if row[0] == name and row[1]),
            min(row[3] for row in rows if row[0] == name),
        )
        for name in {row[0] for row in rows} - {"acme.test"}
    }
    counts = [subdomain.messages for subdomain in subdomains]
    assert counts == sorted(counts, reverse=True)

"""Record lists of figures: their filters, and whether they are exact."""

from collections import Counter
from dataclasses import replace

import pytest

from app.analysis.mail import flow_index
from app.analysis.mail.flow_index import FlowIndex, RecordLink
from app.analysis.mail.identities import MAX_RESULTS, Identity
from app.analysis.mail.record_filter import MAX_ADDRESSES, RecordFilter
from app.analysis.mail.sources import ELSEWHERE, Context, Flow, Source, gather

OWN_SPF = (("acme.test", "mfrom", "pass"),)
SIGNED = (("acme.test", "s1", "pass"),)
GOOD = Identity(
    header_from="acme.test",
    disposition="none",
    dkim=True,
    spf=True,
    dkim_results=SIGNED,
    spf_results=OWN_SPF,
)
BAD = Identity(header_from="acme.test", disposition="none", dkim=False, spf=False)
BELOW = Identity(header_from="news.acme.test", disposition="none", dkim=False, spf=False)
PASSED_ON = Identity(
    header_from="acme.test", disposition="none", dkim=False, spf=False, reasons=("forwarded",)
)
RARE = Identity(header_from="*.acme.test", disposition="none", dkim=False, spf=False)
FLOODED = Identity(
    header_from="acme.test",
    disposition="none",
    dkim=False,
    spf=False,
    dkim_results=tuple(("acme.test", f"s{n}", "fail") for n in range(2, 2 + MAX_RESULTS)),
)


def made(*sent: tuple[str, Identity, int]) -> tuple[FlowIndex, dict[str, Source]]:
    """The index of this mail, and its sources; rare identities have negative numbers."""
    kinds = list(dict.fromkeys(identity for _, identity, _ in sent))
    numbers = {identity: -n if identity is RARE else n for n, identity in enumerate(kinds, 1)}
    identities = {number: identity for identity, number in numbers.items()}
    flows = [
        Flow(
            source_ip=address, identity=numbers[identity], messages=count, first_hour=1, last_hour=1
        )
        for address, identity, count in sent
    ]
    sources = gather(flows, identities, Context("acme.test"))
    return FlowIndex("acme.test", sources, identities), {source.key: source for source in sources}


def filters_and_exactness(listed: RecordLink) -> tuple[dict[str, str], bool]:
    return listed.filter.to_query(), listed.is_exact


def test_source_with_exclusive_addresses_has_exact_list() -> None:
    index, sources = made(("192.0.2.1", GOOD, 5), ("192.0.2.2", GOOD, 7), ("192.0.2.3", BAD, 1))
    assert filters_and_exactness(index.of_source(sources["own"])) == (
        {"sourceIp": "192.0.2.2,192.0.2.1"},
        True,
    )


def test_shared_address_makes_lists_of_both_sources_inexact() -> None:
    index, sources = made(("192.0.2.1", BAD, 5), ("192.0.2.1", PASSED_ON, 7), ("192.0.2.2", BAD, 1))
    exact = {key: index.of_source(source).is_exact for key, source in sources.items()}
    assert exact == {
        "ip:192.0.2.1": False,
        "ip:192.0.2.1/forwarding": False,
        "ip:192.0.2.2": True,
    }


def test_failed_mail_of_shared_address_may_be_exact() -> None:
    index, sources = made(("192.0.2.1", GOOD, 5), ("192.0.2.2", GOOD, 5), ("192.0.2.2", BAD, 3))
    listed = index.of_part(sources["own"], flow_index.FAILED)
    assert filters_and_exactness(listed) == ({"sourceIp": "192.0.2.2", "result": "fail"}, True)


def test_list_with_too_many_addresses_is_inexact() -> None:
    many = [(f"192.0.2.{n}", GOOD, 1) for n in range(MAX_ADDRESSES + 1)]
    index, sources = made(*many[:-1], (many[-1][0], GOOD, 9), ("198.51.100.1", BAD, 1))
    listed = index.of_source(sources["own"])
    assert len(listed.filter.source_ips) == MAX_ADDRESSES
    assert (listed.filter.source_ips[0], listed.is_exact) == (many[-1][0], False)


def test_list_of_all_mail_has_no_addresses() -> None:
    index, sources = made(*((f"192.0.2.{n}", GOOD, 1) for n in range(MAX_ADDRESSES + 1)))
    assert filters_and_exactness(index.of_source(sources["own"])) == ({}, True)


def test_mail_without_known_address_has_no_exact_list() -> None:
    index, sources = made((ELSEWHERE, BAD, 3), ("192.0.2.1", GOOD, 1))
    assert filters_and_exactness(index.of_source(sources["elsewhere"])) == ({}, False)
    assert not index.of_source(sources["own"]).is_exact  # the mail without address may be from it
    passed = index.of_part(sources["own"], RecordFilter(result="pass"))
    assert passed.is_exact  # none of the mail without address passed


def test_exclusive_signature_is_listed_without_addresses() -> None:
    index, sources = made(("192.0.2.1", GOOD, 5), ("192.0.2.2", BAD, 3))
    [(signer, messages, listed)] = index.signers(sources["own"], 10)
    assert (signer, messages) == (("acme.test", "s1", "pass"), 5)
    filters = {"dkimDomain": "acme.test", "dkimSelector": "s1", "dkimResult": "pass"}
    assert filters_and_exactness(listed) == (filters, True)


def test_shared_signature_is_listed_by_address() -> None:
    forwarded = Identity(
        header_from="acme.test",
        disposition="none",
        dkim=True,
        spf=False,
        dkim_results=SIGNED,
        reasons=("forwarded",),
    )
    index, sources = made(("192.0.2.1", GOOD, 5), ("192.0.2.2", forwarded, 3))
    [(_, _, listed)] = index.signers(sources["own"], 10)
    assert listed.is_exact
    assert listed.filter.to_query()["sourceIp"] == "192.0.2.1"


def test_spf_results_in_several_scopes_are_counted_once() -> None:
    both = (*OWN_SPF, ("acme.test", "helo", "pass"))
    index, sources = made(
        (
            "192.0.2.1",
            Identity(
                header_from="acme.test", disposition="none", dkim=True, spf=True, spf_results=both
            ),
            5,
        )
    )
    [(envelope, messages, listed)] = index.envelopes(sources["own"], 10)
    assert (envelope, messages, listed.is_exact) == (("acme.test", "pass"), 5, True)


def test_truncated_results_make_signature_list_inexact() -> None:
    filter = RecordFilter(dkim_domain="acme.test", dkim_selector="s1")
    index, _ = made(("192.0.2.1", GOOD, 5), ("192.0.2.2", BAD, 3))
    assert index.all_records(filter).is_exact
    index, _ = made(("192.0.2.1", GOOD, 5), ("192.0.2.2", FLOODED, 3))
    assert not index.all_records(filter).is_exact
    assert index.all_records(replace(filter, result="pass")).is_exact


@pytest.mark.parametrize(
    ("mail", "author", "filters", "is_exact"),
    [
        ([BELOW], "news.acme.test", {"headerFrom": "news.acme.test"}, True),
        ([BELOW, RARE], "news.acme.test", {"headerFrom": "news.acme.test"}, False),
        ([BELOW, RARE], "*.acme.test", {"subdomainsOnly": "true"}, False),
        ([GOOD, RARE], "*.acme.test", {"subdomainsOnly": "true"}, True),
        ([GOOD, RARE], "acme.test", {"headerFrom": "acme.test"}, True),
    ],
)
def test_rare_names_are_listed_as_all_names_below_domain(
    mail: list[Identity], author: str, filters: dict[str, str], is_exact: bool
) -> None:
    index, _ = made(*(("192.0.2.1", identity, 5) for identity in mail))
    assert filters_and_exactness(index.part(5, index.author(author))) == (filters, is_exact)


def test_author_like_placeholder_is_literal_without_rare_names() -> None:
    odd = Identity(header_from="*.acme.test", disposition="none", dkim=False, spf=False)
    index, _ = made(("192.0.2.1", odd, 5), ("192.0.2.1", BELOW, 1))
    assert filters_and_exactness(index.part(5, index.author("*.acme.test"))) == (
        {"headerFrom": "*.acme.test"},
        True,
    )


@pytest.mark.parametrize(
    ("identities", "filter"),
    [
        ([], RecordFilter()),
        ([GOOD, BAD], RecordFilter(header_from="acme.test")),
        ([BAD, FLOODED], RecordFilter(result="fail", header_from="acme.test")),
        ([BELOW, RARE], RecordFilter(result="fail", subdomains_only=True)),
        ([BAD, BELOW], RecordFilter(result="fail")),
    ],
)
def test_list_is_filtered_by_common_properties(
    identities: list[Identity], filter: RecordFilter
) -> None:
    assert flow_index.common_filter("acme.test", identities) == filter


def test_unsupported_filter_values_are_omitted() -> None:
    assert flow_index.dkim_filter("", "s1", "pass") == RecordFilter()
    assert flow_index.dkim_filter("a.test", "", "pass") == RecordFilter(
        dkim_domain="a.test", dkim_result="pass"
    )
    assert flow_index.dkim_filter("a.test", "s" * 254, "") == RecordFilter(dkim_domain="a.test")
    assert flow_index.spf_filter("a.test", "") == RecordFilter(spf_domain="a.test")


def test_figure_of_zero_has_no_addresses() -> None:
    index, _ = made(("192.0.2.1", GOOD, 5))
    assert not index.of_mail(Counter({"192.0.2.1": 0})).is_exact
    assert index.of_mail({}, flow_index.FAILED).is_exact

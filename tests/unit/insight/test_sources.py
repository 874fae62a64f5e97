"""Who sends: services by evidence, and what each is to the domain."""

from typing import Any

import pytest

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import ELSEWHERE, Context, Flow, Host, Source, SourceReview, gather
from app.analysis.mail.spf_paths import SpfPaths

SPF = SpfPaths(
    "acme.test",
    [
        {"name": "acme.test", "type": "TXT", "values": [
            "v=spf1 ip4:192.0.2.1 include:_spf.google.com -all"]},
        {"name": "_spf.google.com", "type": "TXT", "values": ["v=spf1 ip4:198.51.100.0/24 ~all"]},
    ],
)  # fmt: skip


def identity(*, dkim: bool = False, spf: bool = False, **given: Any) -> Identity:
    values = {"header_from": "acme.test", "disposition": "none"}
    return Identity(**(values | given), dkim=dkim, spf=spf)


OWN = (("acme.test", "s1", "pass"),)
OWN_SPF = (("acme.test", "mfrom", "pass"),)
ALIGNED = identity(dkim=True, spf=True, dkim_results=OWN, spf_results=OWN_SPF)


def the_only(found: Identity, address: str = "203.0.113.5", **context: Any) -> Source:
    flows = [Flow(address, 1, 10, 100, 200)]
    (source,) = gather(flows, {1: found}, Context("acme.test", **context))
    return source


@pytest.mark.parametrize(
    ("found", "address", "hosts", "key", "confidence"),
    [
        (ALIGNED, "192.0.2.1", {}, "own", "high"),
        (ALIGNED, "198.51.100.9", {}, "service:Google Workspace", "high"),
        (identity(spf_results=(("bounce.sendgrid.net", "mfrom", "pass"),)), "203.0.113.5", {},
         "service:SendGrid", "high"),
        (identity(), "203.0.113.5", {"203.0.113.5": Host("o1.sendgrid.net")},
         "service:SendGrid", "medium"),
        (identity(dkim_results=(("sendgrid.net", "x", "pass"),)), "203.0.113.5", {},
         "service:SendGrid", "medium"),
        (identity(dkim_results=(("sendgrid.net", "x", "fail"),)), "203.0.113.5", {},
         "ip:203.0.113.5", "none"),
        (ALIGNED, "203.0.113.5", {}, "own", "medium"),
        (identity(spf_results=(("mx.evil.example", "mfrom", "pass"),)), "203.0.113.5", {},
         "domain:evil.example", "medium"),
        (identity(), "203.0.113.5", {"203.0.113.5": Host("mx1.isp.example")},
         "domain:isp.example", "low"),
        (identity(), "203.0.113.5", {"203.0.113.5": Host(None, 64500, "Example Net")},
         "as:64500", "low"),
        (identity(), "203.0.113.5", {}, "ip:203.0.113.5", "none"),
    ],
)  # fmt: skip
def test_an_address_is_whose_the_surest_evidence_says(
    found: Identity, address: str, hosts: Any, key: str, confidence: str
) -> None:
    source = the_only(found, address, spf=SPF, hosts=hosts)
    assert (source.key, source.service.confidence) == (key, confidence)


@pytest.mark.parametrize(
    ("found", "kind", "word"),
    [
        (ALIGNED, SourceClass.OWN, "lets this address send"),
        # signed, SPF fails for the domain itself: passed on
        (identity(dkim=True, dkim_results=OWN, spf_results=(("acme.test", "mfrom", "fail"),)),
         SourceClass.FORWARDER, "still|valid while SPF fails"),
        # signed, with a new envelope of an unknown domain
        (identity(dkim=True, dkim_results=OWN, spf_results=(("uni.example", "mfrom", "pass"),)),
         SourceClass.FORWARDER, "new envelope"),
        # signed, with the envelope of a service that sends for its customers
        (identity(dkim=True, dkim_results=OWN, spf_results=(("x.mcsv.net", "mfrom", "pass"),)),
         SourceClass.OWN, "for its customers"),
        # the receiver says so
        (identity(reasons=("mailing_list",)), SourceClass.FORWARDER, "receivers say"),
        # a list has changed the text
        (identity(dkim_results=(("acme.test", "s1", "fail"),),
                  spf_results=(("lists.example", "mfrom", "pass"),)),
         SourceClass.FORWARDER, "no longer valid"),
        # nothing at all
        (identity(spf_results=(("acme.test", "mfrom", "fail"),)), SourceClass.SUSPICIOUS,
         "nothing"),
        (identity(), SourceClass.SUSPICIOUS, "nothing"),
        # somebody else
        (identity(spf_results=(("other.example", "mfrom", "pass"),)), SourceClass.UNKNOWN,
         "as itself"),
        (identity(dkim_results=(("sendgrid.net", "x", "pass"),)), SourceClass.UNKNOWN, "as itself"),
    ],
)  # fmt: skip
def test_forwarding_is_told_from_forging(found: Identity, kind: SourceClass, word: str) -> None:
    source = the_only(found, spf=SPF)
    assert source.kind is kind
    assert any(part in source.reason for part in word.split("|"))


def test_mail_from_a_listed_address_that_is_not_aligned_is_the_domains_own() -> None:
    source = the_only(identity(), "198.51.100.9", spf=SPF)
    assert (source.kind, source.failed) == (SourceClass.OWN, 10)
    assert "neither SPF nor DKIM is aligned" in source.reason


def test_what_a_service_sends_and_what_it_passes_on_are_two_sources() -> None:
    passed_on = identity(dkim=True, dkim_results=OWN, spf_results=(("gmail.com", "m", "pass"),))
    flows = [Flow("198.51.100.9", 1, 7, 1, 2), Flow("203.0.113.7", 2, 3, 1, 2)]
    found = gather(flows, {1: ALIGNED, 2: passed_on}, Context("acme.test", spf=SPF))
    assert [(source.key, source.kind, source.messages) for source in found] == [
        ("service:Google Workspace", SourceClass.OWN, 7),
        ("service:Google Workspace/forwarding", SourceClass.FORWARDER, 3),
    ]


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("approved", SourceClass.OWN),
        ("blocked", SourceClass.SUSPICIOUS),
        ("ignored", SourceClass.UNKNOWN),
    ],
)
def test_what_a_person_says_counts_more(state: str, kind: SourceClass) -> None:
    found = identity(spf_results=(("other.example", "mfrom", "pass"),))
    said = SourceReview(state, None, "user:ann")
    for key in ("domain:other.example", "ip:203.0.113.5"):
        source = the_only(found, states={key: said})
        assert (source.kind, source.review) == (kind, said)


def test_mail_of_many_addresses_is_judged_by_its_identity_only() -> None:
    flows = [Flow("10.0.0.1", 0, 5, 7, 8), *(Flow(ELSEWHERE, i, 10 + i, 1, 9) for i in range(2))]
    found = gather(flows, {0: identity(), 1: ALIGNED}, Context("acme.test"))
    by_key = {source.key: (source.messages, source.passed) for source in found}
    assert by_key == {"own": (11, 11), "elsewhere": (10, 0), "ip:10.0.0.1": (5, 0)}
    assert [dict(source.addresses) for source in found] == [{}, {}, {"10.0.0.1": 5}]
    assert [source.has_more_addresses for source in found] == [True, True, False]
    assert {source.first_hour for source in found} == {1, 7}


def test_names_below_the_walked_organizational_domain_are_aligned_with_it() -> None:
    dept = identity(
        spf=True, spf_results=(("mail.dept.uni.example", "m", "pass"),),
        header_from="dept.uni.example",
    )  # fmt: skip
    other = Context("dept.uni.example", walked="dept.uni.example")
    (source,) = gather([Flow("203.0.113.5", 1, 1, 1, 1)], {1: dept}, other)
    assert source.key == "own"

"""Sources: attribution by evidence, and classification."""

from typing import Any

import pytest

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import ELSEWHERE, Context, Flow, Host, Source, SourceReview, gather
from tests.support.identities import SPF, identity

OWN = (("acme.test", "s1", "pass"),)
OWN_SPF = (("acme.test", "mfrom", "pass"),)
ALIGNED = identity(dkim=True, spf=True, dkim_results=OWN, spf_results=OWN_SPF)


def the_only(sender: Identity, address: str = "203.0.113.5", **context: Any) -> Source:
    flows = [Flow(source_ip=address, identity=1, messages=10, first_hour=100, last_hour=200)]
    (source,) = gather(flows, {1: sender}, Context("acme.test", **context))
    return source


@pytest.mark.parametrize(
    ("sender", "address", "hosts", "key", "confidence"),
    [
        (ALIGNED, "192.0.2.1", {}, "own", "high"),
        (ALIGNED, "198.51.100.9", {}, "service:Google Workspace", "high"),
        (
            identity(spf_results=(("bounce.sendgrid.net", "mfrom", "pass"),)),
            "203.0.113.5",
            {},
            "service:SendGrid",
            "high",
        ),
        (
            identity(),
            "203.0.113.5",
            {"203.0.113.5": Host("o1.sendgrid.net")},
            "service:SendGrid",
            "medium",
        ),
        (
            identity(dkim_results=(("sendgrid.net", "x", "pass"),)),
            "203.0.113.5",
            {},
            "service:SendGrid",
            "medium",
        ),
        (
            identity(dkim_results=(("sendgrid.net", "x", "fail"),)),
            "203.0.113.5",
            {},
            "ip:203.0.113.5",
            "none",
        ),
        (ALIGNED, "203.0.113.5", {}, "own", "medium"),
        (
            identity(spf_results=(("mx.evil.example", "mfrom", "pass"),)),
            "203.0.113.5",
            {},
            "domain:evil.example",
            "medium",
        ),
        (
            identity(),
            "203.0.113.5",
            {"203.0.113.5": Host("mx1.isp.example")},
            "domain:isp.example",
            "low",
        ),
        (
            identity(),
            "203.0.113.5",
            {"203.0.113.5": Host(None, 64500, "Example Net")},
            "as:64500",
            "low",
        ),
        (identity(), "203.0.113.5", {}, "ip:203.0.113.5", "none"),
    ],
)
def test_address_is_attributed_by_strongest_evidence(
    sender: Identity, address: str, hosts: Any, key: str, confidence: str
) -> None:
    source = the_only(sender, address, spf=SPF, hosts=hosts)
    assert (source.key, source.service.confidence) == (key, confidence)


@pytest.mark.parametrize(
    ("sender", "kind", "word"),
    [
        (ALIGNED, SourceClass.OWN, "SPF aligned"),
        # signed, SPF fails for the domain itself: forwarded
        (
            identity(dkim=True, dkim_results=OWN, spf_results=(("acme.test", "mfrom", "fail"),)),
            SourceClass.FORWARDER,
            "typical of forwarded email",
        ),
        # signed, with a new envelope of an unknown domain
        (
            identity(dkim=True, dkim_results=OWN, spf_results=(("uni.example", "mfrom", "pass"),)),
            SourceClass.FORWARDER,
            "new envelope sender",
        ),
        # signed, with the envelope of a service that sends for its customers
        (
            identity(dkim=True, dkim_results=OWN, spf_results=(("x.mcsv.net", "mfrom", "pass"),)),
            SourceClass.OWN,
            "for its customers",
        ),
        # the receiver reports forwarding
        (identity(reasons=("mailing_list",)), SourceClass.FORWARDER, "Receivers report forwarding"),
        # a list has changed the text
        (
            identity(
                dkim_results=(("acme.test", "s1", "fail"),),
                spf_results=(("lists.example", "mfrom", "pass"),),
            ),
            SourceClass.FORWARDER,
            "DKIM signature is broken",
        ),
        # not authenticated
        (
            identity(spf_results=(("acme.test", "mfrom", "fail"),)),
            SourceClass.SUSPICIOUS,
            "Not authenticated",
        ),
        (identity(), SourceClass.SUSPICIOUS, "Not authenticated"),
        # another domain
        (
            identity(spf_results=(("other.example", "mfrom", "pass"),)),
            SourceClass.UNKNOWN,
            "for its own domain only",
        ),
        (
            identity(dkim_results=(("sendgrid.net", "x", "pass"),)),
            SourceClass.UNKNOWN,
            "for its own domain only",
        ),
    ],
)
def test_forwarding_is_distinguished_from_spoofing(
    sender: Identity, kind: SourceClass, word: str
) -> None:
    source = the_only(sender, spf=SPF)
    assert source.kind is kind
    assert any(part in source.reason for part in word.split("|"))


def test_unaligned_mail_from_authorized_address_is_own() -> None:
    source = the_only(identity(), "198.51.100.9", spf=SPF)
    assert (source.kind, source.failed) == (SourceClass.OWN, 10)
    assert "neither SPF nor DKIM is aligned" in source.reason


def test_own_and_forwarded_mail_of_a_service_are_two_sources() -> None:
    passed_on = identity(dkim=True, dkim_results=OWN, spf_results=(("gmail.com", "m", "pass"),))
    flows = [
        Flow(source_ip="198.51.100.9", identity=1, messages=7, first_hour=1, last_hour=2),
        Flow(source_ip="203.0.113.7", identity=2, messages=3, first_hour=1, last_hour=2),
    ]
    sources = gather(flows, {1: ALIGNED, 2: passed_on}, Context("acme.test", spf=SPF))
    assert [(source.key, source.kind, source.messages) for source in sources] == [
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
def test_manual_classification_overrides_evidence(state: str, kind: SourceClass) -> None:
    sender = identity(spf_results=(("other.example", "mfrom", "pass"),))
    decision = SourceReview(state, None, "user:ann")
    for key in ("domain:other.example", "ip:203.0.113.5"):
        source = the_only(sender, reviews={key: decision})
        assert (source.kind, source.review) == (kind, decision)


def test_mail_without_address_is_attributed_by_identity() -> None:
    flows = [
        Flow(source_ip="10.0.0.1", identity=0, messages=5, first_hour=7, last_hour=8),
        *(
            Flow(source_ip=ELSEWHERE, identity=i, messages=10 + i, first_hour=1, last_hour=9)
            for i in range(2)
        ),
    ]
    sources = gather(flows, {0: identity(), 1: ALIGNED}, Context("acme.test"))
    by_key = {source.key: (source.messages, source.passed) for source in sources}
    assert by_key == {"own": (11, 11), "elsewhere": (10, 0), "ip:10.0.0.1": (5, 0)}
    assert [dict(source.addresses) for source in sources] == [{}, {}, {"10.0.0.1": 5}]
    assert [source.has_more_addresses for source in sources] == [True, True, False]
    assert {source.first_hour for source in sources} == {1, 7}


def test_names_below_organizational_domain_are_aligned() -> None:
    dept = identity(
        spf=True,
        spf_results=(("mail.dept.uni.example", "m", "pass"),),
        header_from="dept.uni.example",
    )
    other = Context("dept.uni.example", org_domain="dept.uni.example")
    (source,) = gather(
        [Flow(source_ip="203.0.113.5", identity=1, messages=1, first_hour=1, last_hour=1)],
        {1: dept},
        other,
    )
    assert source.key == "own"

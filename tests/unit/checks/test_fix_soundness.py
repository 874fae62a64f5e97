"""Every fix of a damaged record is sound: it solves its finding and loses nothing."""

import asyncio
import os
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checks.engine.runner import run_checks
from app.checks.engine.types import Finding, Severity, Subject, Usage
from app.checks.spf import evaluate as spf_evaluate
from app.ports.http import Page
from app.protocols import spf
from app.protocols.names import DomainName
from tests.support import fixed_zones
from tests.support.mark_certificates import CERTIFIED
from tests.support.zones import Zone

EXAMPLES = int(os.environ.get("FIX_EXAMPLES", "150"))
MAX_FIXES = 40  # of one domain, one after another
DOMAIN = "acme.test"
KEY = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf"
    "9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
)
NAMES = {
    "spf": DOMAIN,
    "dmarc": f"_dmarc.{DOMAIN}",
    "tls_rpt": f"_smtp._tls.{DOMAIN}",
    "mta_sts": f"_mta-sts.{DOMAIN}",
    "dkim": f"s1._domainkey.{DOMAIN}",
    "bimi": f"default._bimi.{DOMAIN}",
}
LOGO, CERTIFICATE = f"https://{DOMAIN}/logo.svg", f"https://{DOMAIN}/vmc.pem"
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps"
viewBox="0 0 64 64"><title>Acme</title><circle cx="32" cy="32" r="30"/></svg>"""
PAGES = {
    (DOMAIN, "/logo.svg"): Page(LOGO, status=200, content_type="image/svg+xml", body=SVG),
    (DOMAIN, "/vmc.pem"): CERTIFIED,
}
BASE: Mapping[Any, Any] = {
    (DOMAIN, "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["192.0.2.10"],
    ("mx.acme.test", "AAAA"): ["2001:db8::10"],
    "acme.test": ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:a@acme.test"],
    "one.vendor.test": ["v=spf1 ip4:198.51.100.0/28 -all"],
    "two.vendor.test": ["v=spf1 ip4:198.51.100.32/28 ip6:2001:db8:2::/48 -all"],
    "bare.vendor.test": ["no record"],
}
SPF_MISTAKES = {
    *("spf.syntax_error", "spf.unknown_mechanism", "spf.modifier_repeated"),
    *("spf.bad_version", "spf.leading_whitespace"),
}
MAILBOX = r"(?:[a-z]|[a-z]+-reports)@(?:mx\.)?acme\.test(?![\w=.])"
POLICIES = st.sampled_from(["none", "quarantine", "reject"])
ADDRESSES = st.lists(
    st.sampled_from(["mailto:a@acme.test", "mailto:b@acme.test", "mailto:c@mx.acme.test"]),
    min_size=1,
    max_size=3,
    unique=True,
)
TERMS = (
    *("mx", "a:mx.acme.test", "ip4:192.0.2.0/24", "ip4:192.0.2.7", "-ip4:192.0.2.0/28"),
    *("ip6:2001:db8:5::/48", "include:one.vendor.test", "include:two.vendor.test"),
    *("include:gone.vendor.test", "include:bare.vendor.test", "ptr", "exists:%{i}.acme.test"),
)


@st.composite
def dmarc_records(draw: Any) -> str:
    """A valid DMARC record."""
    parts = ["v=DMARC1", f"p={draw(POLICIES)}"]
    for tag in draw(st.lists(st.sampled_from(["sp", "np"]), unique=True)):
        parts.append(f"{tag}={draw(POLICIES)}")
    parts.append("rua=" + ",".join(draw(ADDRESSES)))
    options = ["adkim=s", "aspf=r", "fo=1", "t=y", "pct=50", "ruf=mailto:f@acme.test"]
    parts += draw(st.lists(st.sampled_from(options), unique=True, max_size=3))
    return "; ".join(parts)


@st.composite
def spf_records(draw: Any) -> str:
    """A valid SPF record."""
    terms = draw(st.lists(st.sampled_from(TERMS), min_size=1, max_size=5))
    end = draw(st.sampled_from(["-all", "~all", "?all", "+all", "", "redirect=one.vendor.test"]))
    return " ".join(filter(None, ["v=spf1", *terms, end]))


RECORDS = {
    "dmarc": dmarc_records(),
    "spf": spf_records(),
    "tls_rpt": ADDRESSES.map(lambda uris: "v=TLSRPTv1; rua=" + ",".join(uris)),
    "mta_sts": st.sampled_from(["v=STSv1; id=20260101;", "v=STSv1; id=2; x=y"]),
    "bimi": st.sampled_from(
        [f"v=BIMI1; l={LOGO}; a={CERTIFICATE}", f"v=BIMI1; l={LOGO}; avp=brand", "v=BIMI1; l=; a=;"]
    ),
    "dkim": st.sampled_from([f"v=DKIM1; k=rsa; p={KEY}", f"v=DKIM1; t=y; p={KEY}", f"p={KEY}"]),
}
DAMAGES = [
    ("; ", ": "),
    ("; ", ", "),
    ("; ", " "),
    ("; ", ";;"),
    (";", r"\;"),
    ("mailto:", ""),
    ("mailto:", "mailto://"),
    ("reject", "rejected"),
    ("quarantine", "quarantined"),
    ("quarantine", ""),
    ("p=none", "p=non"),
    ("sp=reject", "sp="),
    ("=", " = "),
    (",", " "),
    (",", ",,"),
    (" ", "\t"),
    (" ", "  "),
    ("v=", "V="),
    ("DMARC1", "DMARC"),
    ("DMARC1", "dmarc1"),
    ("v=spf1", "v=spf"),
    ("STSv1", "stsv1"),
    ("TLSRPTv1", "TLSRPT1"),
    ("id=", "id= "),
    ("-all", "-al"),
    ("all", "all all"),
    ("ip4:", "ip4="),
    ("ip4:", "ipv4:"),
    ("ip4:", "ip:"),
    (" ", "\u00a0"),
    (" ", "\u200b "),
    ("=", "=="),
    ("v=DMARC1; ", ""),
    ("v=spf1 ", ""),
    ("mailto:", "mailto:mailto:"),
    (",", ";"),
    (",", ", "),
    ("mailto:", "http:"),
    ("-all", "~all -all"),
    ("-all", "-all mx"),
    ("include:", "include:_"),
    ("include:", "include:https://"),
    ("/24", "/240"),
    ("p=", "P="),
    ("reject", "Reject"),
    ("rua=", "rua ="),
    ("k=rsa", "k=rsa;k=rsa"),
    ("p=MF", "p= MF"),
    ("==", ""),
    ("mailto:", "mailto: "),
    ("rua=", "rua=="),
    ("rua=", "rua:"),
    ("p=", "p:"),
    (",", "; rua="),
    ("v=", ""),
    ("v=", "v:"),
    ("v=", "="),
    ("v=", "v "),
    ("=DMARC1", "=DMARC 1"),
    ("rua=", "np=bad; rua="),
    ("rua=", "sp=bad; rua="),
    ("rua=", "p=none; rua="),
    ("rua=", "p=reject; rua="),
    ("rua=", "ri=60; rf=afrf; rua="),
    ("acme.test", "acme.testv=DMARC1; p=none"),
    ("mailto:a", "mailto:a@"),
    *((" ", ", "), (" ", "; "), (" ", ""), ("ip4:", "ip4: "), ("ip4:", ""), ("ip4:", "ip6:")),
    *(("ip4:", "a:"), ("ip4:", "include:"), ("ip6:", "ip4:"), ("ip6:", ""), (":", "::")),
    *(("-all", "- all"), ("~all", "~ all"), ("-all", "\u2013all"), (" -all", "-all")),
    *((" ~all", "~all"), ("v=spf1", "v=spf10"), ("v=spf1 ", "v=spf1"), ("v=spf1", "spf1")),
    *(("v=spf1", "v:spf1"), ("-all", "-all ip4:192.0.2.9"), ("-all", "-allip4:192.0.2.9")),
    *(("192.0.2.7", "192.0.2.7,192.0.2.8"), ("include:", "inlude:"), ("all", "al")),
    ("@acme", " @acme"),
    *(("; rua=", "; _x=y; rua="), ("rua=", "rua= "), ("https://", "https://https://")),
    *(("https://", ""), ("https:", "http:"), ("l=", "L="), ("; a=", " a="), ("BIMI1", "bimi1")),
    *(("l=", "l:"), ("; a=", "; l="), ("brand", "brands"), ("mx", "mx="), ("include:", "include=")),
]


@st.composite
def damaged(draw: Any, record: str) -> list[str]:
    """The record with mistakes that people make."""
    for old, new in draw(st.lists(st.sampled_from(DAMAGES), max_size=2)):
        count = draw(st.sampled_from([1, -1]))
        record = record.replace(old, new, count)
    edges = draw(st.sampled_from(["", "", "", " ", '"', "'", "\u201c", '""', "\t", "\ufeff"]))
    record = f"{edges}{record}{edges}"
    others = draw(st.sampled_from([[], [], ["unrelated"], [record]]))
    return [record, *others]


def findings_of(zone: Mapping[Any, Any], subject: Subject) -> list[tuple[str, Finding]]:
    """The findings of all checks, each with the name of its check."""
    scans = asyncio.run(
        run_checks({0: subject}, lambda: Zone(zone, PAGES), concurrency=1, seconds=60)
    )
    return [(it.check, finding) for it in scans[0].check_results for finding in it.findings]


@pytest.mark.parametrize("check", RECORDS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_every_fix_is_sound(check: str, data: Any) -> None:
    first = data.draw(RECORDS[check])
    texts = data.draw(damaged(first))
    if data.draw(st.booleans(), label="two records"):
        texts += data.draw(damaged(data.draw(RECORDS[check])))
    usage = data.draw(st.sampled_from([Usage.BOTH, Usage.PARKED]))
    subject = Subject(DomainName(DOMAIN), usage=usage, dkim_selectors=("s1",))
    zone = {**BASE, NAMES[check]: texts}
    before = findings_of(zone, subject)
    for name, finding in before:
        if finding.fix is not None and finding.fix.type == "TXT":
            _check(zone, subject, name, finding, before)


@settings(max_examples=EXAMPLES // 5)
@given(data=st.data())
def test_fixes_of_several_damaged_records_come_to_an_end_in_any_order(data: Any) -> None:
    zone: dict[Any, Any] = dict(BASE)
    for check in data.draw(st.lists(st.sampled_from(sorted(RECORDS)), min_size=1, unique=True)):
        zone[NAMES[check]] = data.draw(damaged(data.draw(RECORDS[check])))
    subject = Subject(DomainName(DOMAIN), dkim_selectors=("s1",))
    solved: set[tuple[str, str]] = set()
    random = data.draw(st.randoms(use_true_random=False))
    for _ in range(MAX_FIXES):
        current = findings_of(zone, subject)
        assert not solved & {(item.kind.code, item.subject) for _, item in current}
        fixable = [(check, item) for check, item in current if item.fix and item.fix.type == "TXT"]
        if not fixable:
            return
        check, finding = random.choice(fixable)
        _check(zone, subject, check, finding, current)
        solved.add((finding.kind.code, finding.subject))
        assert finding.fix is not None
        zone = fixed_zones.published(zone, finding.fix)
    raise AssertionError(solved)


def _check(
    zone: Mapping[Any, Any],
    subject: Subject,
    check: str,
    finding: Finding,
    before: list[tuple[str, Finding]],
) -> None:
    fix = finding.fix
    assert fix is not None
    old = list(zone.get(fix.name, ()))
    replaced = {fix.before, *(fix.before or "").split("\n")}
    new = [*(text for text in old if text not in replaced), *([fix.after] if fix.after else [])]
    assert fix.after != ""
    assert ";;" not in (fix.after or "")
    after = findings_of({**zone, fix.name: new}, subject)
    assert (finding.kind.code, finding.subject) not in [
        (item.kind.code, item.subject) for name, item in after if name == check
    ], fix
    known = {item.kind.code for _, item in before} | set(finding.kind.leads_to)
    for _, item in after:
        is_hidden = finding.kind.hides_others and item.severity.rank > finding.severity.rank
        is_minor = item.severity is Severity.INFO
        assert is_hidden or is_minor or item.kind.code in known, (fix, item)
        is_same = item.subject.partition(" ")[0] == fix.name
        assert is_minor or not (item.kind.is_syntax and is_same), (fix, item)
    _check_nothing_is_lost(zone, fix.name, old, new, subject)
    if finding.kind.code in SPF_MISTAKES:
        _check_terms(fix.before or "", fix.after or "")
    if fix.name.startswith(("_dmarc", "_smtp")):
        _check_addresses(fix.before or " ".join(old), fix.after or "")
    if fix.name == NAMES["bimi"]:
        locations = r"acme\.test/[a-z]+\.[a-z]+"
        assert set(re.findall(locations, fix.before or "")) == set(
            re.findall(locations, fix.after or "")
        )


def _check_nothing_is_lost(
    zone: Mapping[Any, Any], name: str, old: list[str], new: list[str], subject: Subject
) -> None:
    """Policies and senders, read without the code that repairs and compares."""
    if name == f"_dmarc.{DOMAIN}":
        for tag in ("p", "sp"):
            ranks = [_rank(text, tag) for text in old]
            assert max(ranks, default=0) <= max(_rank(text, tag) for text in new), (old, new)
    elif name == DOMAIN and subject.usage is Usage.BOTH:
        for text in (re.sub(r"\s\+?all", "", text) for text in old):  # it allows everyone
            for ip in _senders(text):
                if _passes({**zone, name: [text]}, ip):
                    assert _passes({**zone, name: new}, ip), (ip, old, new)


def _check_terms(before: str, after: str) -> None:
    """The record allows exactly the networks and domains of the text, and all is not weaker."""
    names = r"[a-z]+\.(?:vendor|acme)\.test"
    networks = r"(?:\d+\.){3}\d+(?:/\d+)?|2001:db8:[0-9a-f:]+(?:/\d+)?"
    for pattern in (names, networks):
        assert set(re.findall(pattern, before)) == set(re.findall(pattern, after)), (before, after)
    ends = re.findall(r"([?~-]|\u2013)\s?al", before)
    kept = re.findall(r"([+?~-]?)all", after)
    assert kept == [end.replace("\u2013", "-") for end in ends][:1] or not ends, (before, after)
    assert spf.parse_record(after)


def _check_addresses(before: str, added: str) -> None:
    """The mailboxes are the same; a fix may add the proposed one where there was none."""
    mailboxes = set(re.findall(MAILBOX, before))
    proposed = {f"{kind}-reports@{DOMAIN}" for kind in ("dmarc", "tls")}
    mailboxes_after = set(re.findall(MAILBOX, added))
    is_new = not mailboxes and mailboxes_after <= proposed
    assert mailboxes_after == mailboxes or is_new, (before, added)
    lists = re.findall(r"ru[af]=([^;]*)", added)
    for uri in (uri for text in lists for uri in text.split(",")):
        assert re.fullmatch(rf"mailto:{MAILBOX}", uri.strip()), (before, added)


def _rank(text: str, tag: str) -> int:
    match = re.search(rf"(?:^|[;:,\s\\]){tag}\s*=\s*(non|quarantine|reject)", text)
    policy = match[1] if match else "non"
    if tag == "sp" and not match:
        return _rank(text, "p")
    return ("non", "quarantine", "reject").index(policy)  # "non" is a misspelled none


def _senders(text: str) -> list[str]:
    senders = ["192.0.2.10", "198.51.100.1", "198.51.100.40", "2001:db8:2::1", "2001:db8:5::1"]
    for word in spf.words(text):
        term = spf.parse_term(word)
        if isinstance(term, spf.Directive) and term.network is not None:
            senders.append(str(term.network[len(senders) % min(term.network.num_addresses, 16)]))
    return senders


def _passes(zone: Mapping[Any, Any], ip: str) -> bool:
    evaluation = spf_evaluate.evaluate(Zone(zone), ip=ip, mail_from=f"x@{DOMAIN}", helo=DOMAIN)
    return asyncio.run(evaluation).result is spf_evaluate.Result.PASS

"""The parsers with the vectors in tests/data/mail, and the names of the tree walk."""

import re
from typing import Any

import pytest
import yaml

from app.checks.engine.types import Subject, Verdict
from app.checks.transport.mta_sts import PATH
from app.checks.transport.mta_sts import mta_sts as mta_sts_check
from app.ports.http import Page
from app.protocols import bimi, dkim, dmarc, names, public_suffix
from app.protocols.dmarc import discovery
from app.protocols.transport import mta_sts, tls_rpt
from tests.support.paths import DATA
from tests.support.zones import Zone

MAIL = DATA / "mail"
VECTORS = yaml.safe_load((MAIL / "records.yaml").read_text())
SUFFIXES = re.findall(
    r"^checkPublicSuffix\((?:'([^']*)'|null), (?:'([^']*)'|null)\);$",
    (MAIL / "test_psl.txt").read_text(),
    re.MULTILINE,
)
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 1209600\n"


@pytest.mark.parametrize("vector", VECTORS["dmarc_records"], ids=lambda vector: vector["input"])
def test_dmarc_record_requests_policy_of_rfc_example(vector: dict[str, Any]) -> None:
    record = dmarc.sole_record([vector["input"]])
    policy = discovery.policy_of(record)[0] if record else None
    if vector["outcome"] == "ignore":
        assert policy is None
    else:
        assert policy == vector["effective"]


@pytest.mark.parametrize(
    "vector",
    [
        vector
        for vector in VECTORS["dmarc_records"]
        if vector.keys() & {"aspf", "np", "psd", "fo", "rua", "removed"}
    ],
    ids=lambda vector: vector["input"],
)
def test_dmarc_tag_has_value_of_rfc_example(vector: dict[str, Any]) -> None:
    record = dmarc.parse_record(vector["input"])
    used_vectors = {
        "aspf": record.aspf,
        "np": record.np,
        "psd": record.psd,
        "fo": record.fo and ":".join(record.fo),
        "rua": list(record.rua),
        "removed": list(record.removed_tags),
    }
    assert {tag: used_vectors[tag] for tag in used_vectors if tag in vector} == {
        tag: vector[tag] for tag in used_vectors if tag in vector
    }


@pytest.mark.parametrize("vector", VECTORS["mx_patterns"], ids=lambda vector: vector["host"])
def test_mx_pattern_covers_at_most_one_label(vector: dict[str, Any]) -> None:
    assert mta_sts.covers(vector["pattern"], vector["host"]) is vector["match"]


@pytest.mark.parametrize("vector", VECTORS["mta_sts_policies"], ids=lambda vector: vector["rfc"])
def test_only_valid_mta_sts_policy_is_used(vector: dict[str, Any]) -> None:
    try:
        policy = mta_sts.parse_policy(vector["input"].encode())
    except mta_sts.BadPolicy:
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] == "use"
        assert policy.mode == vector.get("mode", policy.mode)
        assert policy.max_age == vector.get("max_age", policy.max_age)
        assert list(policy.mx) == vector.get("mx", list(policy.mx))


@pytest.mark.parametrize("vector", VECTORS["mta_sts_http"], ids=lambda vector: vector["rfc"])
async def test_mta_sts_policy_depends_on_http_response(vector: dict[str, Any]) -> None:
    verdicts = {"use": Verdict.OK, "warn": Verdict.WARN, "error": Verdict.FAIL}
    data: dict[Any, Any] = {
        ("example.com", "MX"): ["10 mx.example.com"],
        "_mta-sts.example.com": ["v=STSv1; id=1"],
    }
    zone = Zone(data, {("mta-sts.example.com", PATH): _served(vector)})
    outcome = await mta_sts_check.run(Subject(names.DomainName("example.com")), zone)
    assert outcome.verdict is verdicts[vector["outcome"]]


def _served(vector: dict[str, Any]) -> Page:
    """The page for an HTTP response."""
    url = f"https://mta-sts.example.com{PATH}"
    if "tls" in vector:
        return Page(url, failure="tls", detail=vector["tls"])
    if "location" in vector:
        return Page(url, vector["status"], failure="redirect", detail=vector["location"])
    body = POLICY + b"\n" * (vector.get("body_bytes", len(POLICY)) - len(POLICY))
    return Page(
        url=url,
        status=vector["status"],
        content_type=vector.get("content_type", "text/plain"),
        body=body,
    )


@pytest.mark.parametrize("vector", VECTORS["mta_sts_txt"], ids=lambda vector: vector["input"])
def test_mta_sts_record_requires_valid_id(vector: dict[str, Any]) -> None:
    try:
        record = mta_sts.parse_record(vector["input"])
    except (mta_sts.NotMtaSts, mta_sts.MtaStsUnusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] == "use"
        assert record.id == vector.get("id", record.id)


@pytest.mark.parametrize("vector", VECTORS["tlsrpt_txt"], ids=lambda vector: vector["input"])
def test_tls_rpt_record_requires_address(vector: dict[str, Any]) -> None:
    try:
        record = tls_rpt.parse_record(vector["input"])
    except (tls_rpt.NotTlsRpt, tls_rpt.TlsRptUnusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] in ("use", "default")
        assert list(record.rua) == vector["rua"]


@pytest.mark.parametrize("vector", VECTORS["bimi_txt"], ids=lambda vector: vector["input"])
def test_bimi_record_requires_https_logo(vector: dict[str, Any]) -> None:
    try:
        record = bimi.parse_record(vector["input"])
    except (bimi.NotBimi, bimi.Unusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] == "use"
        assert record.declined is vector.get("declined", False)


@pytest.mark.parametrize(("name", "expected"), SUFFIXES)
def test_registrable_name_is_below_public_suffix(name: str, expected: str) -> None:
    assert public_suffix.registrable(name) == (expected or None)


def test_all_public_suffix_vectors_are_used() -> None:
    lines = (MAIL / "test_psl.txt").read_text().splitlines()
    assert len(SUFFIXES) == sum(line.startswith("checkPublicSuffix") for line in lines)


@pytest.mark.parametrize("vector", VECTORS["dkim_keys"], ids=lambda vector: vector["rfc"])
def test_dkim_key_size_is_read(vector: dict[str, Any]) -> None:
    try:
        key = dkim.parse_record(vector["input"])
    except (dkim.NotDkim, dkim.Unusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] == "use"
        assert key.bits == vector.get("bits", key.bits)
        assert key.revoked is vector.get("revoked", False)
        assert key.testing is vector.get("testing", False)


def test_tree_walk_of_short_name_visits_every_label() -> None:
    assert names.walk("a.mail.example.com") == (
        "a.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )


def test_tree_walk_of_long_name_skips_to_last_seven_labels() -> None:
    walked = names.walk("a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert len(walked) == 8
    assert walked[1] == "g.h.i.j.mail.example.com"


@pytest.mark.parametrize("text", ["192.0.2.1", "com", "co.uk", "a_b.org", "-a.org", "host.test"])
def test_names_that_are_not_domains_are_rejected(text: str) -> None:
    with pytest.raises(names.NotADomain):
        names.parse(text)


def test_name_is_normalized_to_a_label() -> None:
    assert names.parse("Bücher.DE.") == "xn--bcher-kva.de"

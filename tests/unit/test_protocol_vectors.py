"""The records of tests/data/mail, read as receivers read them; and the names of the tree walk."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.protocols import dkim, dmarc, dmarc_discovery, mta_sts, names, tlsrpt

VECTORS = yaml.safe_load((Path(__file__).parents[1] / "data" / "mail" / "records.yaml").read_text())


@pytest.mark.parametrize("vector", VECTORS["dmarc_records"], ids=lambda vector: vector["input"])
def test_a_dmarc_record_asks_for_what_the_rfc_says(vector: dict[str, Any]) -> None:
    record = dmarc.sole_record([vector["input"]])
    policy = dmarc_discovery.policy_of(record)[0] if record else None
    if vector["outcome"] == "ignore":
        assert policy is None
    else:
        assert policy == vector["effective"]


@pytest.mark.parametrize("vector", VECTORS["mx_patterns"], ids=lambda vector: vector["host"])
def test_an_mx_pattern_covers_one_label_at_most(vector: dict[str, Any]) -> None:
    assert mta_sts.covers(vector["pattern"], vector["host"]) is vector["match"]


@pytest.mark.parametrize("vector", VECTORS["mta_sts_policies"], ids=lambda vector: vector["rfc"])
def test_a_policy_is_used_only_if_it_is_valid(vector: dict[str, Any]) -> None:
    try:
        policy = mta_sts.parse_policy(vector["input"].encode())
    except mta_sts.BadPolicy:
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] == "use"
        assert policy.mode == vector.get("mode", policy.mode)
        assert policy.max_age == vector.get("max_age", policy.max_age)


@pytest.mark.parametrize("vector", VECTORS["mta_sts_txt"], ids=lambda vector: vector["input"])
def test_an_mta_sts_record_is_used_only_with_a_valid_id(vector: dict[str, Any]) -> None:
    try:
        record = mta_sts.parse_record(vector["input"])
    except (mta_sts.NotMtaSts, mta_sts.Unusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] == "use"
        assert record.id == vector.get("id", record.id)


@pytest.mark.parametrize("vector", VECTORS["tlsrpt_txt"], ids=lambda vector: vector["input"])
def test_a_tls_rpt_record_needs_an_address(vector: dict[str, Any]) -> None:
    try:
        tlsrpt.parse_record(vector["input"])
    except (tlsrpt.NotTlsRpt, tlsrpt.Unusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert vector["outcome"] in ("use", "default")


@pytest.mark.parametrize("vector", VECTORS["dkim_keys"], ids=lambda vector: vector["rfc"])
def test_a_dkim_key_has_the_bits_it_has(vector: dict[str, Any]) -> None:
    try:
        key = dkim.parse_record(vector["input"])
    except (dkim.NotDkim, dkim.Unusable):
        assert vector["outcome"] in ("error", "ignore")
    else:
        assert key.bits == vector.get("bits", key.bits)


def test_a_short_name_is_walked_label_by_label_to_the_tld() -> None:
    assert names.walk("a.mail.example.com") == (
        "a.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )


def test_a_long_name_jumps_to_its_last_seven_labels() -> None:
    walked = names.walk("a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert len(walked) == 8
    assert walked[1] == "g.h.i.j.mail.example.com"


@pytest.mark.parametrize("text", ["192.0.2.1", "com", "co.uk", "a_b.org", "-a.org", "host.test"])
def test_what_is_no_domain_to_watch_is_refused(text: str) -> None:
    with pytest.raises(names.NotADomain):
        names.parse(text)


def test_a_name_is_kept_as_its_a_label() -> None:
    assert names.parse("Bücher.DE.") == "xn--bcher-kva.de"

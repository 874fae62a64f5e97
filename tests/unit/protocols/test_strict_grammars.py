"""Texts outside the grammars of the RFCs are refused, or have a problem, however small."""

import pytest

from app.protocols import bimi, dkim, dmarc
from app.protocols.transport import mta_sts, tls_rpt


@pytest.mark.parametrize(
    "text",
    [
        "v=STSv1;; id=1",
        "v=STSv1; id=1;;",
        "v=STSv1; ; id=1;",
        "v=STSv1; id=1; ;",
        "v=STSv1; id = 1",
        "v=STSv1; id=1; x",
    ],
)
def test_mta_sts_record_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(mta_sts.MtaStsUnusable):
        mta_sts.parse_record(text)


@pytest.mark.parametrize("text", ["v=STSv1; id=1", "v=STSv1;id=1;", "v=STSv1; x=y; id=1; "])
def test_mta_sts_record_of_the_grammar_is_read(text: str) -> None:
    assert mta_sts.parse_record(text).id == "1"


@pytest.mark.parametrize("host", ["192.0.2.1", "*.192.0.2.1", "[192.0.2.1]", "2001:db8::1", "a..b"])
def test_mx_of_a_policy_must_be_a_host_name(host: str) -> None:
    body = f"version: STSv1\nmode: enforce\nmx: {host}\nmax_age: 86400\n"
    with pytest.raises(mta_sts.BadPolicy):
        mta_sts.parse_policy(body.encode())


@pytest.mark.parametrize("value", ["1:1", "0:0", "d:d", "0:1", "1:", ":", "2", "1,d", "1 d"])
def test_failure_options_outside_the_grammar_are_a_problem(value: str) -> None:
    record = dmarc.parse_record(f"v=DMARC1; p=none; ruf=mailto:a@acme.test; fo={value}")
    assert [problem.name for problem in record.problems] == ["fo"]


@pytest.mark.parametrize("value", ["0", "1", "d", "s", "1:d", "1:s:d", "d:s", "0:d"])
def test_failure_options_of_the_grammar_are_no_problem(value: str) -> None:
    record = dmarc.parse_record(f"v=DMARC1; p=none; ruf=mailto:a@acme.test; fo={value}")
    assert record.problems == ()


def test_repeated_tag_of_a_tls_rpt_record_is_known() -> None:
    text = "v=TLSRPTv1; rua=mailto:a@acme.test; rua=mailto:b@acme.test"
    assert tls_rpt.parse_record(text).duplicate_tags == ("rua",)


def test_bimi_record_names_all_of_its_problems() -> None:
    with pytest.raises(bimi.Unusable) as caught:
        bimi.parse_record("v=BIMI1; l=http://a.test/a.svg; a=x; stray")
    assert all(part in caught.value.reason for part in ("stray", "l: ", "a: "))


@pytest.mark.parametrize("text", ["v=DKIM1; p=;;", "v=DKIM1;; p=", "; p=", "v=DKIM1; ; p="])
def test_key_record_with_an_empty_tag_is_refused(text: str) -> None:
    with pytest.raises(dkim.Unusable) as caught:
        dkim.parse_record(text)
    assert caught.value.code == "syntax"

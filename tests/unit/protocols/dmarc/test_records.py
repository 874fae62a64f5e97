import pytest

from app.protocols import dmarc, uris
from app.protocols.dmarc import Alignment, Policy, Psd

RUA = "rua=mailto:d@example.com"


@pytest.mark.parametrize(
    "text",
    [
        "v=DMARC1",
        "v=DMARC1;",
        "v = DMARC1 ; p = none",
        "v\t=\tDMARC1\t;p=none",
        "V=DMARC1; p=none",
        "v=DMARC1;;p=none;",
    ],
)
def test_record_begins_with_version(text: str) -> None:
    assert dmarc.is_record(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "v=",
        "v=dmarc1; p=none",
        "v=DMARC1x; p=none",
        "v=DMARC2; p=none",
        "v=DMARC1 p=none",
        " v=DMARC1; p=none",
        "\tv=DMARC1; p=none",
        ";v=DMARC1; p=none",
        "p=none; v=DMARC1",
        '"v=DMARC1; p=none"',
        "v=spf1 -all",
        "\ufeffv=DMARC1; p=none",
    ],
)
def test_other_text_is_not_a_dmarc_record(text: str) -> None:
    assert not dmarc.is_record(text)
    with pytest.raises(dmarc.NotDmarc):
        dmarc.parse_record(text)


def test_all_tags_are_parsed() -> None:
    record = dmarc.parse_record(
        "v=DMARC1; p=reject; sp=Quarantine; np=NONE; adkim=s; aspf=S; fo=1:d:s; psd=n; t=y;"
        "rua=mailto:a@example.com, mailto:b@example.net; ruf=mailto:f@example.com"
    )
    assert record == dmarc.Record(
        p=Policy.REJECT,
        sp=Policy.QUARANTINE,
        np=Policy.NONE,
        adkim=Alignment.STRICT,
        aspf=Alignment.STRICT,
        fo=("1", "d", "s"),
        psd=Psd.NO,
        testing=True,
        rua=(uris.parse("mailto:a@example.com"), uris.parse("mailto:b@example.net")),
        ruf=(uris.parse("mailto:f@example.com"),),
    )


def test_absent_tags_have_their_defaults() -> None:
    assert dmarc.parse_record("v=DMARC1") == dmarc.Record(
        p=None,
        adkim=Alignment.RELAXED,
        aspf=Alignment.RELAXED,
        psd=Psd.UNKNOWN,
        testing=False,
        fo=None,
    )


@pytest.mark.parametrize(
    ("tag", "name", "value"),
    [
        ("p=rejects", "p", "rejects"),
        ("p=", "p", ""),
        ("p=re ject", "p", "re ject"),
        ("sp=bogus", "sp", "bogus"),
        ("np=bogus", "np", "bogus"),
        ("adkim=q", "adkim", "q"),
        ("aspf=relaxed", "aspf", "relaxed"),
        ("psd=yes", "psd", "yes"),
        ("t=yes", "t", "yes"),
        ("ruf=mailto:f@example.com; fo=0:1", "fo", "0:1"),
        ("ruf=mailto:f@example.com; fo=2", "fo", "2"),
        ("ruf=mailto:f@example.com; fo=", "fo", ""),
        ("rua=d@example.com", "rua", "d@example.com"),
        ("rua=", "rua", ""),
        ("ruf=mailto:f@192.0.2.1", "ruf", "mailto:f@192.0.2.1"),
        ("nonsense", "", "nonsense"),
    ],
)
def test_invalid_tag_is_listed_and_has_default(tag: str, name: str, value: str) -> None:
    record = dmarc.parse_record(f"v=DMARC1; {tag}")
    assert [(problem.name, problem.value) for problem in record.problems] == [(name, value)]
    assert record.problems[0].reason
    assert record.adkim is record.aspf is Alignment.RELAXED
    assert (record.p, record.psd, record.testing) == (None, Psd.UNKNOWN, False)
    assert record.fo in (None, ("0",))


def test_invalid_address_does_not_affect_others() -> None:
    record = dmarc.parse_record(
        "v=DMARC1; p=none; rua=mailto:a@example.com,b@example.com,https://r.example.com/in"
    )
    assert record.rua == ("mailto:a@example.com", "https://r.example.com/in")
    assert [problem.value for problem in record.problems] == ["b@example.com"]


@pytest.mark.parametrize("size", ["!10", "!10m", "!5K", "!1g", "!2T"])
def test_size_limit_is_removed_from_address(size: str) -> None:
    record = dmarc.parse_record(f"v=DMARC1; p=none; rua=mailto:d@example.com{size}")
    assert record.rua == ("mailto:d@example.com",)
    assert record.sized == (f"mailto:d@example.com{size}",)
    assert record.has_obsolete_size
    assert not record.problems


@pytest.mark.parametrize("size", ["!", "!m", "!10mb", "!10m!10m", "!１０"])
def test_invalid_size_limit_makes_address_invalid(size: str) -> None:
    record = dmarc.parse_record(f"v=DMARC1; p=none; rua=mailto:d@example.com{size}")
    assert record.rua == ()
    assert [problem.name for problem in record.problems] == ["rua"]


@pytest.mark.parametrize(
    ("tag", "pct"),
    [("pct=50", 50), ("pct=0", 0), ("pct=101", None), ("pct=-1", None), ("pct=５", None)],
)
def test_removed_tags_are_listed_and_not_validated(tag: str, pct: int | None) -> None:
    record = dmarc.parse_record(f"v=DMARC1; p=none; {tag}; ri=x; rf=afrf")
    assert record.removed_tags == ("pct", "ri", "rf")
    assert record.pct == pct
    assert not record.problems
    assert not record.unknown_tags


def test_unknown_and_repeated_tags_are_listed_and_ignored() -> None:
    record = dmarc.parse_record("v=DMARC1; p=reject; x=1; P=none; x=2; y-z=3")
    assert record.p is Policy.REJECT
    assert record.unknown_tags == ("x", "y-z")
    assert record.duplicate_tags == ("p", "x")
    assert not record.problems


def test_fo_has_no_effect_without_ruf() -> None:
    assert dmarc.parse_record("v=DMARC1; p=none; fo=1").fo is None
    assert dmarc.parse_record("v=DMARC1; p=none; ruf=mailto:f@example.com").fo == ("0",)


@pytest.mark.parametrize(
    ("rest", "has_readable_policy", "is_processed"),
    [
        ("p=none", True, True),
        ("p=none; sp=reject; np=none", True, True),
        ("p=none; adkim=bogus", True, True),
        ("", False, False),
        (RUA, False, True),
        ("p=bogus", False, False),
        (f"p=bogus; {RUA}", False, True),
        ("p=reject; sp=bogus", False, False),
        (f"p=reject; np=bogus; {RUA}", False, True),
        ("p=bogus; rua=d@example.com", False, False),  # no valid URI: s. 4.10.1
    ],
)
def test_record_with_invalid_policy_is_processed_only_with_rua(
    rest: str, has_readable_policy: bool, is_processed: bool
) -> None:
    record = dmarc.parse_record(f"v=DMARC1; {rest}")
    assert record.has_readable_policy is has_readable_policy
    assert record.is_processed is is_processed


@pytest.mark.parametrize(
    ("texts", "p"),
    [
        ([], None),
        (["unrelated"], None),
        (["unrelated", "v=DMARC1; p=reject"], Policy.REJECT),
        (["v=DMARC1; p=reject", "v=DMARC1; p=none"], None),
        (["v=DMARC1; p=reject", "v=DMARC1; p=reject"], None),
        (["v=DMARC1; p=reject", "v=dmarc1; p=none"], Policy.REJECT),
    ],
)
def test_several_records_count_as_none(texts: list[str], p: Policy | None) -> None:
    record = dmarc.sole_record(texts)
    assert (record and record.p) == p


def test_policies_are_ordered_by_strength() -> None:
    assert [policy.strength for policy in Policy] == [0, 1, 2]
    assert [policy.lowered for policy in Policy] == ["none", "none", "quarantine"]


def test_authorization_name_uses_domain_of_record() -> None:
    assert (
        dmarc.authorization_name("acme.test", "watcher.example")
        == "acme.test._report._dmarc.watcher.example"
    )


def test_too_long_authorization_name_authorizes_nothing() -> None:
    host = ".".join(["a" * 50] * 4)
    assert dmarc.authorization_name(f"{'b' * 32}.c", host) is not None
    assert dmarc.authorization_name(f"{'b' * 33}.c", host) is None


@pytest.mark.parametrize(
    ("texts", "is_given", "instead"),
    [
        ([], False, None),
        (["unrelated", "p=none"], False, None),
        (["v=dmarc1"], False, None),
        (["v=DMARC1"], True, None),
        (["unrelated", "v=DMARC1;", "v=DMARC1"], True, None),
        (["v=DMARC1; p=none; sp=bogus"], True, None),
        (["v=DMARC1; rua=mailto:x@watcher.example"], True, ("mailto:x@watcher.example",)),
        (["v=DMARC1; rua=mailto:x@WATCHER.example"], True, ("mailto:x@WATCHER.example",)),
        (["v=DMARC1; rua=mailto:x@sub.watcher.example"], True, ()),
        (
            ["v=DMARC1; rua=mailto:x@evil.example,mailto:y@watcher.example"],
            True,
            ("mailto:y@watcher.example",),
        ),
        (["v=DMARC1; ruf=mailto:x@evil.example"], True, None),
    ],
)
def test_destination_authorizes_and_may_redirect_within_its_host(
    texts: list[str], is_given: bool, instead: tuple[str, ...] | None
) -> None:
    answer = dmarc.authorization(texts, uris.parse("mailto:acme@watcher.example"))
    assert (answer.is_given, answer.instead) == (is_given, instead)

"""Caveats about the existence of subdomains."""

import pytest

from app.analysis.mail.unused import Subdomain
from app.analysis.policy.subdomains import unknowns
from app.protocols.dmarc import Policy, Record

NEWS = Subdomain(name="news.acme.test", messages=10, passed=4, first_hour=0)
FINE = Subdomain(name="fine.acme.test", messages=10, passed=10, first_hour=0)
BOTH = Record(sp=Policy.NONE, np=Policy.QUARANTINE)


@pytest.mark.parametrize(
    ("tag", "record", "words"),
    [
        ("sp", BOTH, "np applies instead to those that do not exist"),
        ("np", BOTH, "np applies only to those that do not exist"),
        ("np", Record(), "np applies only to those that do not exist"),
    ],
)
def test_failing_subdomains_have_a_caveat(tag: str, record: Record, words: str) -> None:
    [(what, messages)] = unknowns(tag, record, [NEWS, FINE])  # type: ignore[arg-type]  # a tag
    assert what.startswith("Reports do not state whether news.acme.test exist: ")
    assert words in what
    assert messages == 6


@pytest.mark.parametrize(
    ("tag", "record", "below"),
    [
        ("p", BOTH, [NEWS]),
        ("sp", Record(sp=Policy.NONE), [NEWS]),  # np equals sp
        ("np", BOTH, [FINE]),
        ("np", BOTH, []),
    ],
)
def test_no_caveat_if_policies_are_equal_or_nothing_fails(
    tag: str, record: Record, below: list[Subdomain]
) -> None:
    assert unknowns(tag, record, below) == []  # type: ignore[arg-type]  # a tag


def test_caveat_names_only_a_few_of_many_subdomains() -> None:
    many = [Subdomain(name=f"{n}.acme.test", messages=1, passed=0, first_hour=0) for n in range(5)]
    [(what, messages)] = unknowns("np", BOTH, many)
    assert "0.acme.test, 1.acme.test, 2.acme.test and 2 more exist" in what
    assert messages == 5

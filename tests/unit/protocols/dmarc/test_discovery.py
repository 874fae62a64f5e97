import pytest

from app.protocols import dmarc
from app.protocols.dmarc import discovery as dmarc_discovery
from app.protocols.names import DomainName

P = "v=DMARC1; p=reject"
STRONG = "v=DMARC1; p=reject; sp=quarantine; np=none"

# records by name (without _dmarc), start, exists; Organizational Domain, domain of the applicable
# record, its policy and the tag of the policy
CASES: dict[str, tuple[dict[str, str], str, bool, str, str | None, str | None, str | None]] = {
    "nothing found": ({}, "a.example.com", True, "a.example.com", None, None, None),
    "own record, own organization": (
        {"example.com": P},
        "example.com",
        True,
        "example.com",
        "example.com",
        "reject",
        "p",
    ),
    "own record applies with p, and the organization is above": (
        {"a.example.com": P, "example.com": STRONG},
        "a.example.com",
        True,
        "example.com",
        "a.example.com",
        "reject",
        "p",
    ),
    "sp of an own record below the organization means nothing": (
        {"a.example.com": STRONG, "example.com": P},
        "a.example.com",
        False,
        "example.com",
        "a.example.com",
        "reject",
        "p",
    ),
    "sp for what exists": (
        {"example.com": STRONG},
        "a.example.com",
        True,
        "example.com",
        "example.com",
        "quarantine",
        "sp",
    ),
    "np for what does not": (
        {"example.com": STRONG},
        "a.example.com",
        False,
        "example.com",
        "example.com",
        "none",
        "np",
    ),
    "np falls back to sp": (
        {"example.com": "v=DMARC1; p=reject; sp=none"},
        "a.example.com",
        False,
        "example.com",
        "example.com",
        "none",
        "sp",
    ),
    "np and sp fall back to p": (
        {"example.com": P},
        "a.example.com",
        False,
        "example.com",
        "example.com",
        "reject",
        "p",
    ),
    "sp does not fall back to np": (
        {"example.com": "v=DMARC1; p=reject; np=none"},
        "a.example.com",
        True,
        "example.com",
        "example.com",
        "reject",
        "p",
    ),
    "an intermediate record supplies nothing": (
        {"b.example.com": STRONG, "example.com": "v=DMARC1; p=none"},
        "a.b.example.com",
        True,
        "example.com",
        "example.com",
        "none",
        "p",
    ),
    "the fewest labels, up to the TLD": (
        {"example.com": P, "com": "v=DMARC1; p=none; sp=none"},
        "a.example.com",
        True,
        "com",
        "com",
        "none",
        "sp",
    ),
    "psd=n ends the walk": (
        {"b.example.com": "v=DMARC1; p=reject; psd=n", "example.com": "v=DMARC1; p=none"},
        "a.b.example.com",
        True,
        "b.example.com",
        "b.example.com",
        "reject",
        "p",
    ),
    "psd=n at the start": (
        {"b.example.com": "v=DMARC1; p=reject; psd=n", "example.com": "v=DMARC1; p=none"},
        "b.example.com",
        True,
        "b.example.com",
        "b.example.com",
        "reject",
        "p",
    ),
    "psd=y: the organization is one label below": (
        {"example.com": P, "com": "v=DMARC1; p=none; psd=y"},
        "a.b.example.com",
        True,
        "example.com",
        "example.com",
        "reject",
        "p",
    ),
    "psd=y: its record applies if the organization has none": (
        {"com": "v=DMARC1; p=reject; sp=quarantine; psd=y"},
        "a.b.example.com",
        True,
        "example.com",
        "com",
        "quarantine",
        "sp",
    ),
    "psd=y: a record between start and organization supplies nothing": (
        {"b.example.com": P, "com": "v=DMARC1; p=none; psd=y"},
        "a.b.example.com",
        True,
        "example.com",
        "com",
        "none",
        "p",
    ),
    "psd=y at the start does not count there": (
        {"gov.example": "v=DMARC1; p=reject; sp=none; psd=y", "example": P},
        "gov.example",
        True,
        "gov.example",
        "gov.example",
        "reject",
        "p",
    ),
    "psd=y: np of the PSD for a name below that does not exist": (
        {"example": "v=DMARC1; p=none; np=reject; psd=y"},
        "none.example",
        False,
        "none.example",
        "example",
        "reject",
        "np",
    ),
    "t=y lowers by one step": (
        {"example.com": "v=DMARC1; p=reject; sp=quarantine; t=y"},
        "a.example.com",
        True,
        "example.com",
        "example.com",
        "none",
        "sp",
    ),
    "an unreadable sp makes all of it none, with an address": (
        {"example.com": "v=DMARC1; p=reject; sp=x; rua=mailto:d@example.com"},
        "example.com",
        True,
        "example.com",
        "example.com",
        "none",
        None,
    ),
    "without p, sp does not count either": (
        {"example.com": "v=DMARC1; sp=reject; rua=mailto:d@example.com"},
        "a.example.com",
        True,
        "example.com",
        "example.com",
        "none",
        None,
    ),
    "an unreadable p without an address ends DMARC": (
        {"example.com": "v=DMARC1; p=x"},
        "a.example.com",
        True,
        "example.com",
        "example.com",
        None,
        None,
    ),
    "from eight labels on the walk jumps over the eighth": (
        {"b.c.d.e.f.g.h.i": STRONG, "a.b.c.d.e.f.g.h.i": P},
        "x.a.b.c.d.e.f.g.h.i",
        True,
        "x.a.b.c.d.e.f.g.h.i",
        None,
        None,
        None,
    ),
    "the last seven labels are asked": (
        {"c.d.e.f.g.h.i": STRONG},
        "x.a.b.c.d.e.f.g.h.i",
        True,
        "c.d.e.f.g.h.i",
        "c.d.e.f.g.h.i",
        "quarantine",
        "sp",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_applicable_record_is_discovered_by_tree_walk(case: str) -> None:
    zone, start, exists, organizational, record_at, policy, tag = CASES[case]
    records = {name: dmarc.parse_record(text) for name, text in zone.items()}
    discovery = dmarc_discovery.discover(DomainName(start), records, exists=exists)
    assert discovery.org_domain == organizational
    assert discovery.record_at == record_at
    assert discovery.record == (records[record_at] if record_at else None)
    assert (discovery.effective_policy, discovery.policy_tag) == (policy, tag)
    assert dmarc_discovery.organizational_domain(DomainName(start), records) == organizational


@pytest.mark.parametrize(
    ("text", "ends"),
    [(P, False), (f"{P}; psd=u", False), (f"{P}; psd=y", True), (f"{P}; psd=n", True)],
)
def test_psd_tag_ends_tree_walk(text: str, ends: bool) -> None:
    assert dmarc_discovery.ends_walk(dmarc.parse_record(text)) is ends


def test_missing_record_does_not_end_tree_walk() -> None:
    assert not dmarc_discovery.ends_walk(None)

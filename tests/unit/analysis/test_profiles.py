"""The evaluation of compliance profiles."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.scan import profiles
from app.analysis.scan.profiles import DomainResults, ProfileResult, Status
from app.catalog.profiles.types import Clause, FactCondition, Profile
from app.checks import CHECKS
from app.checks.engine.types import Usage
from app.services.core.profiles import load

BUILTIN = load(None)
NAMES = [check.name for check in CHECKS]
FINDINGS = {
    check.name: [
        {"code": kind.code, "severity": kind.severity.value, "summary": kind.summary, "fix": None}
        for kind in check.finds
    ]
    for check in CHECKS
}
FACTS: Mapping[str, Mapping[str, Any]] = {
    "spf": {"result": ["valid", "permerror", "none"], "all": ["-all", "~all", "+all", None]},
    "dmarc": {
        "effective_policy": ["none", "quarantine", "reject", None],
        "rua": [[], None, ["mailto:reports@dmarc.cyber.dhs.gov"]],
    },
    "dkim": {"selectors": [{}, {"a": {"found": True, "status": "ok"}}, {"a": {"found": False}}]},
    "mta_sts": {"policy_valid": [True, False, None], "mode": ["none", "testing", "enforce"]},
    "tls_rpt": {"record_valid": [True, False, None], "rua": [[], ["mailto:t@acme.test"]]},
    "dnssec": {"signed": [True, False], "ad": [True, False]},
    "dane": {"tlsa_hosts": [[], ["mx.acme.test"]]},
}


@st.composite
def results(draw: st.DrawFn) -> DomainResults:
    """Any results of checks, some of which never ran or are undetermined."""
    last_results = {
        name: {
            "facts": {
                fact: draw(st.sampled_from(values)) for fact, values in FACTS.get(name, {}).items()
            },
            "findings": draw(st.lists(st.sampled_from(FINDINGS[name]), max_size=2)),
        }
        for name in draw(st.sets(st.sampled_from(NAMES), min_size=8))
    }
    undetermined = draw(st.sets(st.sampled_from(NAMES), max_size=4))
    usage = draw(st.sampled_from(Usage))
    return DomainResults(last_results, dict.fromkeys(undetermined, "timeout"), usage)


@given(results())
def test_undetermined_check_gives_neither_pass_nor_fail(domain: DomainResults) -> None:
    for result in profiles.evaluate(BUILTIN, domain):
        for part in result.clauses:
            checks = set(part.clause.checks)
            if checks & domain.undetermined.keys() or checks - domain.last_results.keys():
                assert part.status is Status.UNDETERMINED
                assert part.reason


@given(results())
def test_clauses_that_are_not_observable_never_change(domain: DomainResults) -> None:
    for result in profiles.evaluate(BUILTIN, domain):
        for part in result.clauses:
            is_hidden = part.status is Status.NOT_OBSERVABLE
            assert is_hidden is not part.clause.is_observable
            assert not is_hidden or not (part.findings or part.facts)


@given(results())
def test_profile_passes_only_if_no_clause_fails_or_is_undetermined(domain: DomainResults) -> None:
    for result in profiles.evaluate(BUILTIN, domain):
        statuses = {part.status for part in result.clauses}
        assert (result.status is Status.FAIL) is (Status.FAIL in statuses)
        if result.status is Status.PASS:
            assert statuses <= {Status.PASS, Status.NOT_OBSERVABLE}
            assert Status.PASS in statuses


CODE = "dmarc.policy_none"


def evaluate_clause(clause: Clause, facts: Any, codes: tuple[str, ...] = ()) -> ProfileResult:
    profile = Profile(
        id="own",
        name="Own",
        description="Own",
        source="https://a.test",
        source_date=None,
        clauses=[clause],
    )
    findings = [finding for finding in FINDINGS["dmarc"] if finding["code"] in codes]
    last_results = {"dmarc": {"facts": facts, "findings": findings}}
    [result] = profiles.evaluate([profile], DomainResults(last_results, {}, Usage.BOTH))
    return result


def clause(**fields: Any) -> Clause:
    values = {"remediation": "Raise the policy.", **fields}
    return Clause(id="c", text="c", source="https://a.test", source_date=None, **values)


def test_failing_fact_names_the_value_and_the_finding_that_explains_it() -> None:
    condition = FactCondition("dmarc", "effective_policy", one_of=("quarantine", "reject"))
    enforced = clause(facts=(condition,), explained_by=(CODE,))
    [part] = evaluate_clause(
        enforced, {"effective_policy": "none"}, (CODE, "dmarc.rua_missing")
    ).clauses
    assert part.status is Status.FAIL
    assert [finding["code"] for finding in part.findings] == [CODE]
    [unmet] = part.facts
    assert (unmet.fact, unmet.expected, unmet.observed) == (
        *("dmarc.effective_policy", "quarantine or reject", "none"),
    )


def test_without_named_findings_the_most_severe_one_explains_the_failure() -> None:
    published = clause(facts=(FactCondition("dmarc", "rua", is_set=True),))
    [part] = evaluate_clause(
        published, {"rua": []}, ("dmarc.missing", "dmarc.rua_duplicate")
    ).clauses
    assert [finding["code"] for finding in part.findings] == ["dmarc.missing"]


@pytest.mark.parametrize(
    ("fields", "facts", "holds"),
    [
        ({"contains": "mailto:A@b.test"}, ["mailto:a@B.test"], True),
        ({"contains": "mailto:a@b.test"}, ["mailto:aa@b.test"], False),
        ({"contains": "x"}, None, False),
        ({"is_set": True}, [], False),
        ({"is_set": True}, ["a"], True),
        ({"any_with": {"bits": (2048,)}}, {"s": {"bits": 1024}, "t": {"bits": 2048}}, True),
        ({"any_with": {"bits": (2048,), "testing": (False,)}}, {"t": {"bits": 2048}}, False),
        ({"any_with": {"bits": (2048,)}}, None, False),
    ],
)
def test_condition_holds(fields: Any, facts: Any, holds: bool) -> None:
    assert FactCondition("dkim", "selectors", **fields).holds(facts) is holds


def test_clause_of_another_usage_does_not_count() -> None:
    sending = clause(fails_on=(CODE,), usages=("sends-only",))
    result = evaluate_clause(sending, {}, (CODE,))
    assert (result.clauses, result.status) == ([], Status.UNDETERMINED)


def test_summary_says_that_not_everything_can_be_seen() -> None:
    visible = clause(fails_on=(CODE,))
    hidden = clause(unobservable_reason="Only the messages show it.", remediation=None)
    assert evaluate_clause(visible, {}).summary == "Passes"
    profile = Profile(
        id="own",
        name="Own",
        description="Own",
        source="https://a.test",
        source_date=None,
        clauses=[visible, hidden],
    )
    domain = DomainResults({"dmarc": {"facts": {}, "findings": []}}, {}, Usage.BOTH)
    [result] = profiles.evaluate([profile], domain)
    assert result.status is Status.PASS
    assert result.summary == "Passes all clauses that can be observed"

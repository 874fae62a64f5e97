"""Reconciliation opens, refreshes, resolves or keeps alerts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.checks.engine.types import Severity
from app.protocols.names import DomainName
from app.rules.engine.reconcile import Plan, plan
from app.rules.engine.types import AlertDraft, Posture, Rule, Unknown

POSTURE = Posture(DomainName("example.org"), datetime(2026, 1, 1, tzinfo=UTC), {})


@dataclass
class Alert:
    type: str
    subject: str


def draft(type: str, subject: str = "example.org") -> AlertDraft:
    return AlertDraft(
        type=type, subject=subject, severity=Severity.HIGH, title="title", message="message"
    )


def rule(*types: str, yields: Iterable[AlertDraft | Unknown] | None) -> Rule[Posture]:
    return Rule(frozenset(types), lambda _: yields)


def reconcile(live: list[Alert], *rules: Rule[Posture]) -> Plan[Alert]:
    return plan(live, POSTURE, rules)


def test_new_draft_opens_an_alert() -> None:
    assert reconcile([], rule("a", yields=[draft("a")])).opened == [draft("a")]


def test_repeated_draft_refreshes_its_alert() -> None:
    alert = Alert("a", "example.org")
    result = reconcile([alert], rule("a", yields=[draft("a")]))
    assert (result.opened, result.sustained) == ([], [(alert, draft("a"))])


def test_alert_without_a_draft_is_resolved() -> None:
    alert = Alert("a", "example.org")
    assert reconcile([alert], rule("a", yields=[])).resolved == [alert]


def test_other_subject_is_a_separate_alert() -> None:
    alert = Alert("a", "mail.example.org")
    result = reconcile([alert], rule("a", yields=[draft("a")]))
    assert (result.opened, result.resolved) == ([draft("a")], [alert])


def test_undecided_subject_is_unchanged_and_others_are_decided() -> None:
    undetermined, cleared = Alert("a", "unseen"), Alert("a", "over")
    keep = Unknown("a", lambda subject: subject == "unseen")
    result = reconcile([undetermined, cleared], rule("a", yields=[keep, draft("a", "new")]))
    assert (result.opened, result.sustained, result.resolved) == (
        [draft("a", "new")],
        [],
        [cleared],
    )


def test_undecided_subject_opens_nothing_and_hides_no_draft() -> None:
    alert, keep = Alert("a", "x"), Unknown("a", lambda _: True)
    assert reconcile([], rule("a", yields=[keep])) == Plan()
    assert reconcile([alert], rule("a", yields=[keep, draft("a", "x")])).sustained == [
        (alert, draft("a", "x"))
    ]
    other = Alert("b", "x")
    assert reconcile([other], rule("a", yields=[keep]), rule("b", yields=[])).resolved == [other]


def test_undecided_rule_leaves_its_alerts_unchanged() -> None:
    result = reconcile([Alert("a", "example.org")], rule("a", yields=None))
    assert result == Plan()


def test_rule_resolves_no_alert_of_another_rule() -> None:
    assert reconcile([Alert("b", "example.org")], rule("a", yields=[])) == Plan()


def test_duplicate_drafts_open_one_alert() -> None:
    assert reconcile([], rule("a", yields=[draft("a"), draft("a")])).opened == [draft("a")]


outcomes = st.lists(
    st.one_of(st.none(), st.lists(st.sampled_from(["x", "y", "z"]), max_size=3)), max_size=12
)


@given(outcomes)
def test_no_sequence_of_outcomes_opens_two_alerts_for_one_subject(
    sequence: list[list[str] | None],
) -> None:
    live: list[Alert] = []
    for subjects in sequence:
        drafts = None if subjects is None else [draft("a", subject) for subject in subjects]
        result = reconcile(live, rule("a", yields=drafts))
        before = [alert.subject for alert in live]
        live = [alert for alert in live if alert not in result.resolved]
        live += [Alert(opened.type, opened.subject) for opened in result.opened]
        now = [alert.subject for alert in live]
        assert len(set(now)) == len(now)
        assert sorted(now) == sorted(before if subjects is None else set(subjects))

"""Proof of fixes: each one is published in a copy of the answers, and checked before it is shown.

A fix is shown only if its finding disappears, no other finding of severity low or above appears,
the changed record has no mistake of syntax left, and nothing that the owner had is lost
(``Check.keeps``). Otherwise the finding stays without a fix,
and its text says what to decide.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.checks.engine.evidence import Recorder, is_at_or_below
from app.checks.engine.types import (
    Check,
    CheckResult,
    Finding,
    Fix,
    Outcome,
    Severity,
    Subject,
)
from app.ports.dns import Answer, Caa, LookupFailed, Mx, Rdata, ServerAnswer, Tlsa, or_failure
from app.ports.http import Page, Request
from app.ports.network import NetworkSession

logger = logging.getLogger(__name__)

SIBLING = "no-such-name-here"  # if it has an alias, a wildcard answers
PROOF_SECONDS = 5  # for one fix; it asks the network only about names that are new in the record
HOST_TYPES = ("CNAME", "NS", "PTR")  # a fix writes their values with a final dot


class Replay(NetworkSession):
    """The recorded answers of a check; questions that it did not ask go to the network."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        answer = self._recorder.recorded(name, rdtype)
        if isinstance(answer, str):
            raise LookupFailed(name, rdtype, answer)
        if isinstance(answer, Answer):
            return answer
        return await self._recorder.query(name, rdtype, checking_disabled=checking_disabled)

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        return await self._recorder.replayed(server, name, rdtype)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        page = self._recorder.recorded(f"https://{host}{path}", "HTTPS")
        if isinstance(page, str):
            raise LookupFailed(host, "HTTPS", page)
        return page if isinstance(page, Page) else await self._recorder.load(host, path, request)


class Published(Replay):
    """The recorded answers with the fix published.

    Without its CNAME record, a name has no records of any type. With a new record, the name and
    those above it exist.
    """

    def __init__(self, recorder: Recorder, fix: Fix, values: Sequence[Rdata]) -> None:
        super().__init__(recorder)
        self._fix, self._values = fix, tuple(values)

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if name == self._fix.name and self._fix.type == "CNAME" and not self._values:
            return Answer(name, rdtype, "NXDOMAIN")
        if (name, rdtype) == (self._fix.name, self._fix.type):
            before = self._recorder.owned(name, rdtype)
            answer = before if isinstance(before, Answer) else Answer(name, rdtype, "NOERROR")
            return answer._replace(name=name, rcode="NOERROR", rdatas=self._values, aliases=())
        if name == self._fix.name and self._is_behind_wildcard():
            return Answer(name, rdtype, "NOERROR")
        answer = await super().resolve(name, rdtype, checking_disabled=checking_disabled)
        if self._values and is_at_or_below(self._fix.name, name) and not answer.aliases:
            answer = answer._replace(rcode="NOERROR")
        if rdtype == self._fix.type and answer.aliases and answer.aliases[-1] == self._fix.name:
            return answer._replace(rcode="NOERROR", rdatas=self._values)
        return answer

    def _is_behind_wildcard(self) -> bool:
        """Whether the record is new at a name that had the alias of a wildcard."""
        answer = self._recorder.recorded(self._fix.name, self._fix.type)
        is_new = self._fix.before is None and self._fix.type != "CNAME"
        return is_new and isinstance(answer, Answer) and bool(answer.aliases)


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A check that has run, with the recorded answers.

    outcome  None if the check is undetermined; its fixes are not proven
    result   as it is stored, with the fixes that are proven for this check alone
    """

    check: Check
    recorder: Recorder
    outcome: Outcome | None
    result: CheckResult


class _Trial:
    """The outcomes of one check after each of its fixes, each computed once."""

    def __init__(self, check: Check, subject: Subject, recorder: Recorder) -> None:
        self._check, self._subject, self._recorder = check, subject, recorder
        self._outcomes: dict[Fix, Outcome | None] = {}

    async def outcome(self, fix: Fix) -> Outcome | None:
        """The outcome once the fix is published; None if it is not known, or something is lost."""
        if fix not in self._outcomes:
            self._outcomes[fix] = await self._publish(fix)
        return self._outcomes[fix]

    async def _publish(self, fix: Fix) -> Outcome | None:
        values = _values(fix, self._recorder)
        if values is None or await self._is_taken(fix):
            return None
        published = Published(self._recorder, fix, values)
        keeps = self._check.keeps
        try:
            async with asyncio.timeout(PROOF_SECONDS):
                after = await self._check.run(self._subject, published)
                before = Replay(self._recorder)
                if keeps is None or await keeps(self._subject, fix, before, published):
                    return after
        except (LookupFailed, TimeoutError):
            pass  # what the fix would change is not known
        except Exception:  # a bug must not hide the finding
            extra = {"check": self._check.name, "domain": self._subject.domain}
            logger.exception("proof of a fix failed", extra=extra)
        return None

    async def _is_taken(self, fix: Fix) -> bool:
        """Whether the name of a new record has a CNAME record, not only by a wildcard."""
        answer = self._recorder.recorded(fix.name, fix.type) if fix.before is None else None
        if not isinstance(answer, Answer) or not answer.aliases:
            return False
        sibling = f"{SIBLING}.{fix.name.partition('.')[2]}"
        by_wildcard = await or_failure(self._recorder.query(sibling, fix.type))
        return isinstance(by_wildcard, LookupFailed) or by_wildcard.aliases != answer.aliases


async def prove(
    check: Check, subject: Subject, recorder: Recorder, outcome: Outcome
) -> tuple[Finding, ...]:
    """Return the findings of the outcome, each with its fix only if the fix is proven.

    A fix for a record that is reached through an alias names the target of the alias.
    """
    trial = _Trial(check, subject, recorder)
    findings = []
    for finding in outcome.findings:
        if finding.fix is not None:
            fix = _placed(finding.fix, recorder)
            # The reason may differ between findings with the same change.
            after = await trial.outcome(fix._replace(why="", rollback=""))
            is_proven = after is not None and _is_better(outcome, after, finding)
            finding = replace(finding, fix=fix if is_proven else None)
        findings.append(finding)
    return tuple(findings)


async def prove_together(subject: Subject, runs: Sequence[CheckRun]) -> list[CheckResult]:
    """Return the results, without the fixes that would make another check worse.

    A fix concerns another check if that has read the records which the fix changes.
    """
    results = []
    for run in runs:
        if not any(finding.fix for finding in run.result.findings):
            results.append(run.result)
            continue
        findings = [
            replace(finding, fix=None)
            if finding.fix and await _harms_another(subject, run, runs, finding.fix)
            else finding
            for finding in run.result.findings
        ]
        results.append(replace(run.result, findings=tuple(findings)))
    return results


async def _harms_another(
    subject: Subject, run: CheckRun, runs: Sequence[CheckRun], fix: Fix
) -> bool:
    for other in runs:
        if (
            other is not run
            and other.recorder.reads(fix.name, fix.type)
            and not await _is_harmless(subject, other, fix)
        ):
            return True
    return False


async def _is_harmless(subject: Subject, run: CheckRun, fix: Fix) -> bool:
    """Whether the check has no new finding of severity low or above after the fix."""
    if run.outcome is None:
        return True  # it is undetermined, before and after
    after = await _Trial(replace(run.check, keeps=None), subject, run.recorder).outcome(fix)
    if after is None:
        return False
    old = {item.kind.code: item.severity.rank for item in run.outcome.findings}
    return not any(_is_new(item, old) for item in after.findings)


def _is_new(finding: Finding, old: Mapping[str, int]) -> bool:
    """Whether the finding is of severity low or above, and new or worse than before."""
    rank = finding.severity.rank
    return rank < Severity.INFO.rank and rank < old.get(finding.kind.code, Severity.INFO.rank)


def _is_better(before: Outcome, after: Outcome, finding: Finding) -> bool:
    """Whether the finding is gone, and no finding of severity low or above is new."""
    remaining = {(item.kind.code, item.subject) for item in after.findings}
    if (finding.kind.code, finding.subject) in remaining:
        return False
    if any(_is_mistake(item, finding.fix) for item in after.findings):
        return False
    old = {item.kind.code: item.severity.rank for item in before.findings}
    for item in filter(lambda item: _is_new(item, old), after.findings):
        is_hidden = finding.kind.hides_others and item.severity.rank > finding.severity.rank
        if not is_hidden and item.kind.code not in finding.kind.leads_to:
            return False
    return True


def _is_mistake(finding: Finding, fix: Fix | None) -> bool:
    """Whether the finding is about the syntax of the record that the fix changes."""
    is_serious = finding.severity.rank < Severity.INFO.rank
    is_same = fix is not None and finding.subject.partition(" ")[0] == fix.name
    return finding.kind.is_syntax and is_serious and is_same


def _placed(fix: Fix, recorder: Recorder) -> Fix:
    """The fix at the name where the record is published: the end of an alias chain.

    A new record keeps its own name, where it takes precedence over a wildcard.
    """
    answer = recorder.recorded(fix.name, fix.type) if fix.before is not None else None
    if isinstance(answer, Answer) and answer.aliases and fix.type != "CNAME":
        return fix._replace(name=answer.aliases[-1])
    return fix


def _values(fix: Fix, recorder: Recorder) -> list[Rdata] | None:
    """The record set after the fix; None if it is not certain."""
    answer = recorder.owned(fix.name, fix.type)
    if isinstance(answer, str):
        return None
    values = list(answer.rdatas) if answer else []
    texts = [_text(fix.type, value) for value in values]
    for line in _lines(fix.before, texts):
        if line not in texts:
            return None
        values = [value for value in values if _text(fix.type, value) != line]
    try:
        return [*values, *(_rdata(fix.type, line) for line in _lines(fix.after, texts))]
    except ValueError:
        return None


def _text(rdtype: str, value: Rdata) -> str:
    """The value as a fix writes it."""
    return f"{value}." if rdtype in HOST_TYPES else str(value)


def _lines(text: str | None, texts: Sequence[str]) -> list[str]:
    """The records of one side of a fix: several are separated by line breaks."""
    return [] if text is None else [text] if text in texts else text.split("\n")


def _rdata(rdtype: str, text: str) -> Rdata:
    match rdtype, text.split():
        case "MX", [preference, host]:
            return Mx(int(preference), host.lower().removesuffix("."))
        case (("CNAME" | "NS" | "PTR"), [host]):
            return host.lower().removesuffix(".")
        case "TLSA", [usage, selector, matching, data]:
            return Tlsa(usage=int(usage), selector=int(selector), matching=int(matching), data=data)
        case "CAA", [flags, tag, *_]:
            return Caa(int(flags), tag, text.split(None, 2)[2][1:-1])
        case "TXT", _:
            return text
    raise ValueError(f"no record of type {rdtype}")

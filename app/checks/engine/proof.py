"""Proof of fixes: each one is published in a copy of the answers, and checked before it is shown.

A fix is shown only if its finding disappears, no other finding of severity low or above appears,
and nothing that the owner had is lost (``Check.keeps``). Otherwise the finding stays without a fix,
and its text says what to decide.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.checks.engine.evidence import Recorder
from app.checks.engine.types import Check, Finding, Fix, Outcome, Severity, Subject
from app.ports.dns import Answer, LookupFailed, Mx, Rdata, Tlsa
from app.ports.http import Page, Request
from app.ports.network import NetworkSession

PROVABLE = ("TXT", "MX", "TLSA", "CAA", "CNAME")  # the other types are set at a registrar or host


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
        return await self._recorder.ask(name, rdtype, checking_disabled=checking_disabled)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        page = self._recorder.recorded(f"https://{host}{path}", "HTTPS")
        if isinstance(page, str):
            raise LookupFailed(host, "HTTPS", page)
        return page if isinstance(page, Page) else await self._recorder.load(host, path, request)


class Published(Replay):
    """The recorded answers with the fix published."""

    def __init__(self, recorder: Recorder, fix: Fix, values: Sequence[Rdata]) -> None:
        super().__init__(recorder)
        self._fix, self._values = fix, tuple(values)

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if (name, rdtype) == (self._fix.name, self._fix.type):
            return Answer(name, rdtype, "NOERROR", self._values)
        answer = await super().resolve(name, rdtype, checking_disabled=checking_disabled)
        if rdtype == self._fix.type and answer.aliases and answer.aliases[-1] == self._fix.name:
            return answer._replace(rcode="NOERROR", rdatas=self._values)
        return answer


async def prove(
    check: Check, subject: Subject, recorder: Recorder, outcome: Outcome
) -> tuple[Finding, ...]:
    """Return the findings of the outcome, each with its fix only if the fix is proven.

    A fix for a record that is reached through an alias names the place where the record stands.
    """
    findings = []
    for finding in outcome.findings:
        if finding.fix is not None and finding.fix.type in PROVABLE:
            fix = await _proven(check, subject, recorder, outcome, finding)
            finding = finding if fix is finding.fix else replace(finding, fix=fix)
        findings.append(finding)
    return tuple(findings)


async def _proven(
    check: Check, subject: Subject, recorder: Recorder, outcome: Outcome, finding: Finding
) -> Fix | None:
    fix = _placed(finding.fix, recorder) if finding.fix else None
    values = _values(fix, recorder) if fix else None
    if fix is None or values is None:
        return None
    published = Published(recorder, fix, values)
    try:
        after = await check.run(subject, published)
        if not _is_better(check, outcome, after, finding):
            return None
        is_kept = check.keeps is None or await check.keeps(
            subject, fix, Replay(recorder), published
        )
    except LookupFailed:
        return None
    return fix if is_kept else None


def _is_better(check: Check, before: Outcome, after: Outcome, finding: Finding) -> bool:
    """Whether the finding is gone, and no finding of severity low or above is new."""
    remaining = {(item.kind.code, item.subject) for item in after.findings}
    if (finding.kind.code, finding.subject) in remaining:
        return False
    old = {item.kind.code: item.severity.rank for item in before.findings}
    for item in after.findings:
        code, rank = item.kind.code, item.severity.rank
        is_new = rank < Severity.INFO.rank and rank < old.get(code, Severity.INFO.rank)
        is_hidden = finding.kind.hides_others and rank > finding.severity.rank
        if is_new and not is_hidden and code not in finding.kind.leads_to:
            return False
    return True


def _placed(fix: Fix, recorder: Recorder) -> Fix:
    """The fix at the name where the record stands: the end of an alias chain.

    A new record keeps its own name, where it takes precedence over a wildcard.
    """
    answer = recorder.recorded(fix.name, fix.type) if fix.before is not None else None
    if isinstance(answer, Answer) and answer.aliases and fix.type != "CNAME":
        return fix._replace(name=answer.aliases[-1])
    return fix


def _values(fix: Fix, recorder: Recorder) -> list[Rdata] | None:
    """The record set after the fix; None if it cannot be told."""
    answer = recorder.owned(fix.name, fix.type)
    if isinstance(answer, str):
        return None
    values = list(answer.rdatas) if answer else []
    texts = [str(value) for value in values]
    for line in _lines(fix.before, texts):
        if line not in texts:
            return None
        values = [value for value in values if str(value) != line]
    try:
        return [*values, *(_rdata(fix.type, line) for line in _lines(fix.after, texts))]
    except ValueError:
        return None


def _lines(text: str | None, texts: Sequence[str]) -> list[str]:
    """The records of one side of a fix: several are separated by line breaks."""
    return [] if text is None else [text] if text in texts else text.split("\n")


def _rdata(rdtype: str, text: str) -> Rdata:
    match rdtype, text.split():
        case "MX", [preference, host]:
            return Mx(int(preference), host.lower().removesuffix("."))
        case "CNAME", [host]:
            return host.lower().removesuffix(".")
        case "TLSA", [usage, selector, matching, data]:
            return Tlsa(int(usage), int(selector), int(matching), data)
        case "TXT", _:
            return text
    raise ValueError(f"no record of type {rdtype}")

"""Zones in which fixes are published, with code of their own: not that of the proof."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import Finding, Fix, Severity, Subject, Verdict
from app.ports.dns import Caa, Mx, Rdata, Tlsa
from app.ports.network import NetworkSession

ORDER = [Verdict.OK, Verdict.INFO, Verdict.WARN, Verdict.FAIL, Verdict.UNDETERMINED]


def published(records: Mapping[Any, Any], fix: Fix) -> dict[Any, Any]:
    """The records of the zone after the change that the fix describes."""
    key = (fix.name, fix.type)
    if fix.type == "TXT" and fix.name in records:
        key = fix.name  # type: ignore[assignment]  # a plain name stands for its TXT records
    old = list(records.get(key, ()))
    removed = {fix.before, *(fix.before or "").split("\n")} if fix.before is not None else set()
    texts = {_text(fix.type, value): value for value in old}
    assert removed & texts.keys() or fix.before is None, (fix, old)
    new = [value for text, value in texts.items() if text not in removed]
    new += [_value(fix.type, line) for line in _lines(fix)]
    changed = {name: values for name, values in records.items() if name != key}
    return {**changed, key: new} if new else changed


async def scan(subject: Subject, zone: NetworkSession) -> ScanResult:
    """The result of all checks."""
    return (await run_checks({0: subject}, lambda: zone, concurrency=1, seconds=120))[0]


def findings(result: ScanResult) -> dict[tuple[str, str], Finding]:
    """The findings by code and subject."""
    return {
        (item.kind.code, item.subject): item
        for check in result.check_results
        for item in check.findings
    }


def problems(before: ScanResult, after: ScanResult, fixed: Finding) -> list[str]:
    """What is worse once the fix of a finding is published; empty if it is sound."""
    old, new = findings(before), findings(after)
    result = []
    if (fixed.kind.code, fixed.subject) in new:
        result.append("the finding is still there")
    known = {code for code, _ in old} | set(fixed.kind.leads_to)
    for (code, subject), item in new.items():
        is_hidden = fixed.kind.hides_others and item.severity.rank > fixed.severity.rank
        if code not in known and item.severity is not Severity.INFO and not is_hidden:
            result.append(f"new finding {code} at {subject}")
    for one, two in zip(before.check_results, after.check_results, strict=True):
        if ORDER.index(two.verdict) > max(ORDER.index(one.verdict), ORDER.index(Verdict.WARN)):
            result.append(f"{one.check} was {one.verdict} and is {two.verdict}")
    return result


def _lines(fix: Fix) -> Sequence[str]:
    if fix.after is None:
        return ()
    return [fix.after] if fix.type == "TXT" else fix.after.split("\n")


def _text(rdtype: str, value: Rdata) -> str:
    if rdtype in ("NS", "CNAME", "PTR"):
        return f"{str(value).removesuffix('.')}."
    if rdtype == "MX" and isinstance(value, str):
        preference, host = value.split()
        return f"{preference} {host.removesuffix('.')}."
    return str(value)


def _value(rdtype: str, line: str) -> Rdata:
    match rdtype, line.split():
        case "MX", [preference, host]:
            return Mx(int(preference), host.removesuffix("."))
        case "TLSA", [usage, selector, matching, data]:
            return Tlsa(usage=int(usage), selector=int(selector), matching=int(matching), data=data)
        case "CAA", [flags, tag, *_]:
            return Caa(int(flags), tag, line.split(" ", 2)[2][1:-1])
    return line

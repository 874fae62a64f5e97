"""The senders that included services list, compared with those of the previous scan."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from app.checks.engine.types import Finding, FindingType, Severity, Subject, Verdict
from app.checks.spf.tree import Link, Tree
from app.protocols import names, timestamps

DRIFT = FindingType(
    code="spf.vendor_include_drift",
    severity=Severity.LOW,
    summary="SPF: a service you include changed its list of allowed senders",
    observed="What {term} allows had {terms_before} terms until {changed_at:day}, and has had "
    "{terms} since then.",
    why="The addresses that can send as the domain have changed without a change in your own DNS.",
    remediation="No action is needed; review the change if you did not expect it.",
    note="The terms of its record, or of the records it includes, differ from those of the "
    "previous scan; reported for a week.",
    reference="RFC 7208 §5.2",
    verdict=Verdict.OK,
)
MAX_LISTED = timedelta(days=7)


def facts(subject: Subject, tree: Tree) -> dict[str, dict[str, Any]]:
    """The terms of each service's include, and when a scan last saw them change.

    returns  by the domain of the include: terms (their number), sha256 of them, and after a change
             changed_at and terms_before; includes that cannot be read completely are left out
    """
    previous = subject.last_facts.get("spf", {}).get("vendors")
    before = previous if isinstance(previous, Mapping) else {}
    vendors: dict[str, dict[str, Any]] = {}
    for link in _foreign(tree):
        if (listed := _listed(tree, link.target)) is None:
            continue
        digest = hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()
        vendors[link.target] = {"terms": len(listed), "sha256": digest}
        vendors[link.target] |= _change(before.get(link.target, {}), digest, subject.now)
    return vendors


def findings(
    subject: Subject, tree: Tree, vendors: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Findings about services whose lists changed recently, according to their ``facts``."""
    for link in _foreign(tree):
        vendor = vendors.get(link.target, {})
        changed_at = _timestamp(vendor.get("changed_at"))
        if changed_at and subject.now and subject.now - changed_at <= MAX_LISTED:
            yield DRIFT.at(
                link.target,
                term=link.text,
                changed_at=vendor["changed_at"],
                terms=vendor["terms"],
                terms_before=vendor["terms_before"],
            )


def _change(before: Mapping[str, Any], digest: str, now: datetime | None) -> dict[str, Any]:
    """The change since the previous scan, or else the last recorded one."""
    if before and before["sha256"] != digest and now is not None:
        return {"changed_at": timestamps.text(now), "terms_before": before["terms"]}
    return {key: before[key] for key in ("changed_at", "terms_before") if key in before}


def _timestamp(text: str | None) -> datetime | None:
    """The time in the text; None if there is none, or if the text was truncated."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _foreign(tree: Tree) -> Iterator[Link]:
    """The includes and the redirect of the record itself that point to other domains."""
    root = tree.root.name
    for link in tree.links(root):
        if link.target != root and not names.is_below(link.target, root):
            yield link


def _listed(tree: Tree, name: str) -> set[str] | None:
    """The terms of the record at ``name`` and of those below it; None if not all were read."""
    if not tree.is_complete:
        return None
    listed, reached = set[str](), {name: None}
    queue = [name]
    for at in queue:
        source = tree.sources.get(at)
        if source is None or source.record is None:
            return None
        listed.update([term.text.lower() for term in source.record.effective])
        for link in source.links:
            if link.target not in reached:
                reached[link.target] = None
                queue.append(link.target)
    return listed

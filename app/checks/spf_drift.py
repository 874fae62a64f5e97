"""What the includes of services list, compared with what they listed at the scan before."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from app.checks.contract import Finding, Kind, Severity, Subject, Verdict
from app.checks.spf_tree import Link, Tree
from app.protocols import names, timestamps

DRIFT = Kind(
    "spf.vendor_include_drift",
    Severity.LOW,
    "SPF: a service you include changed its list of allowed senders",
    "RFC 7208 §5.2",
    verdict=Verdict.OK,  # services move all the time: to be known, and no blemish
)
TOLD = timedelta(days=7)


def facts(subject: Subject, tree: Tree) -> dict[str, dict[str, Any]]:
    """What each service's include lists now, and when that was last seen to change.

    returns  by the include's domain: terms (how many), sha256 of them; and once they have changed
             changed_at and terms_before. Those that cannot be read whole are left out
    """
    known = subject.known.get("spf", {}).get("vendors")
    before = known if isinstance(known, Mapping) else {}
    found = {}
    for link in _foreign(tree):
        if (listed := _listed(tree, link.target)) is None:
            continue
        digest = hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()
        found[link.target] = {"terms": len(listed), "sha256": digest}
        found[link.target] |= _change(before.get(link.target, {}), digest, subject.now)
    return found


def findings(
    subject: Subject, tree: Tree, vendors: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """The services whose lists have changed of late, by their ``facts``."""
    for link in _foreign(tree):
        vendor = vendors.get(link.target, {})
        changed_at = _moment(vendor.get("changed_at"))
        if changed_at and subject.now and subject.now - changed_at <= TOLD:
            yield DRIFT.at(
                link.target,
                term=link.text,
                changed_at=vendor["changed_at"],
                terms=vendor["terms"],
                terms_before=vendor["terms_before"],
            )


def _change(before: Mapping[str, Any], digest: str, now: datetime | None) -> dict[str, Any]:
    """The change that this is, or else the last one."""
    if before and before["sha256"] != digest and now is not None:
        return {"changed_at": timestamps.text(now), "terms_before": before["terms"]}
    return {key: before[key] for key in ("changed_at", "terms_before") if key in before}


def _moment(text: str | None) -> datetime | None:
    """None also for a text that was cut, as facts are that were too long."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _foreign(tree: Tree) -> Iterator[Link]:
    """The record's own includes and redirect that lead to other people's names."""
    root = tree.root.name
    for link in tree.links(root):
        if link.target != root and not names.is_below(link.target, root):
            yield link


def _listed(tree: Tree, name: str) -> set[str] | None:
    """The terms of the record there and of those below it; None if not all of them were read."""
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

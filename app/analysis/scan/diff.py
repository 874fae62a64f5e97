"""The difference between two scans of a domain, and its cause."""

from collections.abc import Mapping, Sequence
from typing import Any

Check = Mapping[str, Any]
Key = tuple[str, str]


def diff(base: Sequence[Check], scan: Sequence[Check]) -> dict[str, Any]:
    """Return the changes from the checks of one scan to those of a later one; both as stored.

    returns  JSON: ``dnsChanges`` (check, name, type, before, after: record sets that differ between
             the scans) and ``checks`` whose verdict or findings differ: check, before and after
             (verdict), added and removed (findings) and ``cause``: ``dns``; ``rules`` if only the
             logic of the check changed; ``undetermined`` if one of the checks was undetermined;
             ``facts`` if it depends on something other than records (another check, a web server)
    """
    old = {check["check"]: check for check in base}
    changes = _dns_changes(old, scan)
    changed = {change["check"] for change in changes}
    checks = [
        difference
        for check in scan
        if (before := old.get(check["check"])) and (difference := _check(before, check, changed))
    ]
    return {"dnsChanges": changes, "checks": checks}


def _dns_changes(old: Mapping[str, Check], scan: Sequence[Check]) -> list[dict[str, Any]]:
    changes = []
    for check in scan:
        before = _sets(old.get(check["check"], {}))
        after = _sets(check)
        changes += [
            {
                "check": check["check"],
                "name": key[0],
                "type": key[1],
                "before": before[key],
                "after": after[key],
            }
            for key in after
            if key in before and before[key] != after[key]
        ]
    return changes


def _sets(check: Check) -> dict[Key, list[str]]:
    """The values of the record sets with a definite answer, by name and type."""
    return {
        (record["name"], record["type"]): sorted(record["values"])
        for record in check.get("records", ())
        if record["rcode"] in ("NOERROR", "NXDOMAIN") or record["rcode"].isdigit()
    }


def _check(before: Check, after: Check, changed: set[str]) -> dict[str, Any] | None:
    old, new = _findings(before), _findings(after)
    added = [new[key] for key in new if key not in old]
    removed = [old[key] for key in old if key not in new]
    if before["verdict"] == after["verdict"] and not added and not removed:
        return None
    return {
        "check": after["check"],
        "before": before["verdict"],
        "after": after["verdict"],
        "added": added,
        "removed": removed,
        "cause": _cause(before, after, changed),
    }


def _cause(before: Check, after: Check, changed: set[str]) -> str:
    if not (before["definite"] and after["definite"]):
        return "undetermined"
    if after["check"] in changed:
        return "dns"
    return "rules" if before["logicVersion"] != after["logicVersion"] else "facts"


def _findings(check: Check) -> dict[Key, dict[str, Any]]:
    return {
        (finding["code"], finding["subject"]): {
            name: finding[name] for name in ("code", "subject", "severity", "summary")
        }
        for finding in check["findings"]
    }

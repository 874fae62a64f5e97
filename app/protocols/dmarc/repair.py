"""The record that a malformed DMARC record was evidently meant to be."""

import re
from collections.abc import Callable, Mapping

from app.protocols import dmarc, repair
from app.protocols.dmarc import REMOVED, VERSION, Policy

KNOWN = ("v", "p", "sp", "np", "rua", "ruf", "adkim", "aspf", "fo", "psd", "t", *REMOVED)
DROP = ""  # without this tag, receivers do what they do with its invalid value


def repaired(text: str) -> str | None:
    """The valid record that the text was meant to be; None if its meaning is not evident.

    returns  every tag that counts, with every mistake corrected; ``v`` and ``p`` come first
    """
    pairs = repair.tag_pairs(text, KNOWN, VERSION)
    if pairs is None:
        return None
    values = dict(pairs)
    version = values.pop("v", VERSION if dmarc.is_attempt(text) else "")
    if not re.fullmatch(r"dmarc[0-9.]*", version, re.ASCII | re.IGNORECASE):
        return None
    corrected: dict[str, str] = {}
    for name, value in values.items():
        correct = _CORRECTIONS.get(name)
        result = correct(value) if correct else value
        if result is None:
            return None
        if result != DROP:
            corrected[name] = result
    if "p" in values and "p" not in corrected:
        return None
    policy = {"p": corrected.pop("p")} if "p" in corrected else {}
    return repair.joined([("v", VERSION), *policy.items(), *corrected.items()])


def lenient(text: str) -> dmarc.Record | None:
    """What the text requests, read with its mistakes corrected where they are evident."""
    fixed = repaired(text)
    try:
        return dmarc.parse_record(fixed if fixed is not None else text)
    except dmarc.NotDmarc:
        return None


def _policy(value: str) -> str | None:
    return repair.choice(value, [policy.value for policy in Policy])


def _subdomain_policy(value: str) -> str | None:
    """An empty value is dropped: the policy of the domain then applies."""
    return _policy(value) if value else DROP


def _missing_policy(value: str) -> str:
    """An unreadable value is dropped too: no legitimate mail comes from names without records."""
    return _policy(value) or DROP


def _alignment(value: str) -> str | None:
    """Receivers read an invalid value as relaxed, and so it stays unless strict is meant."""
    word = value.lower()
    return "s" if word in ("s", "strict") else "r" if word in ("r", "relaxed") else DROP


def _failure_options(value: str) -> str | None:
    options = [
        item for item in value.lower().replace(",", ":").replace(" ", ":").split(":") if item
    ]
    if not options or not set(options) <= {"0", "1", "d", "s"}:
        return DROP
    if {"0", "1"} <= set(options):
        options.remove("0")
    return ":".join(dict.fromkeys(options))


def _flag(*allowed: str) -> Callable[[str], str]:
    return lambda value: value.lower() if value.lower() in allowed else DROP


def _addresses(value: str) -> str | None:
    addresses = repair.addresses(value)
    return None if addresses is None else ",".join(addresses)


_CORRECTIONS: Mapping[str, Callable[[str], str | None]] = {
    "p": _policy,
    "sp": _subdomain_policy,
    "np": _missing_policy,
    "adkim": _alignment,
    "aspf": _alignment,
    "fo": _failure_options,
    "t": _flag("y", "n"),
    "psd": _flag("y", "n", "u"),
    "rua": _addresses,
    "ruf": _addresses,
}

"""DKIM: whether the keys of the known selectors are usable and strong enough (RFC 6376)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.checks.dkim import key_hygiene
from app.checks.dkim.finding_types import (
    CNAME_BROKEN,
    CNAME_CONFLICT,
    CORRUPT,
    ED25519_ONLY,
    INVALID,
    MISSING,
    NONE_KNOWN,
    PROVIDER_DEFAULT,
    REVOKED,
    SERVICE,
    SEVERAL,
    SHA1,
    SHORT,
    SYNTAX,
    TESTING,
    TOO_SHORT,
    UNKNOWN_HASH,
    WILDCARD,
)
from app.checks.dkim.key_hygiene import KeyHygiene
from app.checks.engine import cname_conflict
from app.checks.engine.types import (
    Finding,
    Fix,
    Outcome,
    Severity,
    Subject,
    Usage,
    Verdict,
    check,
)
from app.ports.dns import Answer, Resolver
from app.ports.network import NetworkSession
from app.protocols import dkim as protocol
from app.protocols import repair, tags
from app.protocols.dkim import Key, KeyType

WEAK_BITS, GOOD_BITS = 1024, 2048  # RFC 8301 §3.2: receivers ignore weaker keys than the first
MAX_SELECTORS = 30
# The selectors of large services. A domain may have others, which only its owner and reports know.
COMMON = (
    *("default", "google", "selector1", "selector2", "s1", "s2", "k1", "k2", "k3", "mail"),
    *("dkim", "fm1", "protonmail", "zoho", "mxvault", "everlytickey1", "smtp", "mandrill"),
)
# Services that use the same selectors for all customers, by the suffix of their MX hosts.
PROVIDERS = {
    ".mail.protection.outlook.com": ("selector1", "selector2"),
    ".messagingengine.com": ("fm1", "fm2", "fm3"),
    ".protonmail.ch": ("protonmail", "protonmail2", "protonmail3"),
}
KNOWN_TAGS = ("v", "k", "p", "t", "s", "h", "n", "g")
_CANARY = "no-such-selector-here"  # if it has a key, a wildcard answers for every selector


_OF_CODE = {"syntax": SYNTAX, "version_not_first": SYNTAX, "duplicate_tag": SYNTAX}
_OF_CODE |= {"key_missing": INVALID, "key_type_unknown": INVALID, "key_corrupt": CORRUPT}


@dataclass(frozen=True, slots=True)
class _Selector:
    """The answer for one selector.

    name      of the selector; for a selector of a subdomain, the full name of its record
    is_named  the owner named it, so it must have a key; one that is only in reports may have been
              retired since
    at        the name of the record
    """

    name: str
    is_named: bool
    answer: Answer
    at: str

    @property
    def texts(self) -> list[str]:
        return [text for text in self.answer.rdatas if isinstance(text, str)]

    def without(self, texts: set[str]) -> "_Selector":
        """The selector as if it had no answer, if its texts are these of a wildcard."""
        if not texts or set(self.texts) != texts:
            return self
        return replace(self, answer=self.answer._replace(rdatas=(), aliases=()))


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether the key is the same after the fix, unless the fix revokes it."""
    old = [_key_of(text) for text in await before.txt(fix.name)]
    new = [_key_of(text) for text in await after.txt(fix.name)]
    return new == [""] or new == old


@check(
    "dkim",
    finds=(
        *(NONE_KNOWN, MISSING, CNAME_BROKEN, REVOKED, SYNTAX, INVALID, CORRUPT, SEVERAL),
        *(TOO_SHORT, SHORT, SHA1, UNKNOWN_HASH, SERVICE, TESTING, ED25519_ONLY, WILDCARD),
        *(PROVIDER_DEFAULT, CNAME_CONFLICT, *key_hygiene.FINDING_TYPES),
    ),
    logic_version=5,
    keeps=keeps,
)
async def dkim(subject: Subject, dns: Resolver) -> Outcome:
    """Check the keys of the named selectors, and of others that exist: seen in reports, or common.

    facts  selectors {name: {status, found, key_type, bits, revoked, testing, key_sha256, since
           (first seen so), seen_in_reports}}, wildcard
    """
    *selectors, canary = await _query_selectors(subject, dns)
    wildcard = set(canary.texts)
    relevant = [
        selector
        for selector in selectors
        if selector.is_named or (selector.texts and set(selector.texts) != wildcard)
    ]
    is_wildcard = any(map(protocol.is_record, wildcard))
    facts: dict[str, Any] = {}
    findings: list[Finding] = []
    keys: list[Key] = []
    hygiene = KeyHygiene(subject)
    others = set() if is_wildcard else wildcard  # texts that are not keys
    own = [selector.without(others) for selector in relevant]
    dns.prefetch(*((key.at, "CNAME") for key in own if key.texts and not key.answer.aliases))
    for selector in own:
        facts[selector.name] = _check_selector(selector, findings, keys, hygiene)
        if selector.texts:
            findings += await cname_conflict.findings(CNAME_CONFLICT, selector.at, dns)
    if is_wildcard:
        facts["*"] = {"found": True, "revoked": _is_lock(canary), "status": Verdict.INFO}
        findings.append(WILDCARD.at(subject.domain, records=canary.texts, lock=_is_lock(canary)))
    elif not relevant:
        findings.append(
            NONE_KNOWN.at(subject.domain, tried=[selector.name for selector in selectors])
        )
    findings = [_lowered_if_rotated(finding, relevant, keys) for finding in findings]
    usable = [key for key in keys if not key.revoked]
    if usable and all(key.key_type is KeyType.ED25519 for key in usable):
        findings.append(ED25519_ONLY.at(subject.domain))
    if not usable and not is_wildcard:
        findings += await _of_provider(subject, dns)
    return Outcome({"selectors": facts, "wildcard": is_wildcard}, *findings)


def _is_lock(canary: _Selector) -> bool:
    """Whether the wildcard says that every selector is revoked, which locks unused names."""
    return len(canary.texts) == 1 and not dict(tags.split(canary.texts[0])).get("p", "-")


def _lowered_if_rotated(finding: Finding, selectors: list[_Selector], keys: list[Key]) -> Finding:
    """The finding, as info if its provider alternates between the selector and others.

    Such a service publishes only the key that signs now.
    """
    if finding.kind is not CNAME_BROKEN or not any(not key.revoked for key in keys):
        return finding
    [name] = [selector.name for selector in selectors if selector.at == finding.subject]
    group = next((names for names in PROVIDERS.values() if name in names), ())
    has_other_key = any(
        selector.name in group and selector.name != name and selector.texts
        for selector in selectors
    )
    return replace(finding, severity=Severity.INFO) if has_other_key else finding


async def _query_selectors(subject: Subject, dns: Resolver) -> list[_Selector]:
    """The answers of all selectors; the last one shows whether a wildcard answers."""
    tried = _tried(subject)
    dns.prefetch(*((at, "TXT") for at in tried))
    return [
        _Selector(
            name=name,
            is_named=name in subject.dkim_selectors,
            answer=await dns.resolve(at, "TXT"),
            at=at,
        )
        for at, name in tried.items()
    ]


def _tried(subject: Subject) -> dict[str, str]:
    """The selector by the name to query: named ones, those in reports, then common ones."""

    def record_name(selector: str) -> str:
        return f"{selector}._domainkey.{subject.domain}"

    selectors = {record_name(selector): selector for selector in subject.dkim_selectors}
    for selector, domain in subject.observed_selectors:
        at = f"{selector}._domainkey.{domain}"
        selectors.setdefault(at, selector if domain == subject.domain else at)
    if not subject.dkim_selectors:
        for selector in COMMON:
            selectors.setdefault(record_name(selector), selector)
    selectors = dict(list(selectors.items())[:MAX_SELECTORS])
    selectors[record_name(_CANARY)] = _CANARY
    return selectors


async def _of_provider(subject: Subject, dns: Resolver) -> list[Finding]:
    """A finding if the mail provider always uses the same selectors and none is published here."""
    if subject.usage not in (Usage.BOTH, Usage.SENDS):
        return []
    hosts = [record.host for record in await dns.mx(subject.domain)]
    selectors = next(
        (names for suffix, names in PROVIDERS.items() if any(h.endswith(suffix) for h in hosts)), ()
    )
    record_names = [f"{selector}._domainkey.{subject.domain}" for selector in selectors]
    dns.prefetch(*((name, "TXT") for name in record_names))
    answers = [await dns.resolve(name, "TXT") for name in record_names]
    if not record_names or any(answer.rdatas or answer.aliases for answer in answers):
        return []
    return [PROVIDER_DEFAULT.at(subject.domain, hosts=hosts, selectors=list(selectors))]


def _check_selector(
    selector: _Selector, all_findings: list[Finding], keys: list[Key], hygiene: KeyHygiene
) -> dict[str, Any]:
    """The facts of one selector.

    effects  adds to ``all_findings`` and ``keys``
    """
    records = [text for text in selector.texts if protocol.is_record(text)]
    facts: dict[str, Any] = {"found": bool(records)}
    findings: list[Finding] = []
    if len(records) == 1:
        try:
            key = protocol.parse_record(records[0])
        except protocol.Unusable as error:
            # A key of a new type accompanies one that every receiver can verify.
            is_new = error.code == "key_type_unknown"
            finding = _OF_CODE[error.code].at(
                selector.at,
                record=records[0],
                reason=error.reason,
                severity=Severity.INFO if is_new else None,
                fix=_repaired(selector.at, records[0]),
            )
            findings.append(finding)
        else:
            keys.append(key)
            facts |= {"key_type": key.key_type, "bits": key.bits, "revoked": key.revoked}
            facts["testing"] = key.testing
            findings += _of_key(selector.at, records[0], key)
            if not key.revoked:
                facts |= hygiene.facts(selector.name, selector.at, key)
                is_alias = bool(selector.answer.aliases)
                findings += hygiene.findings(selector.at, records[0], facts, is_alias=is_alias)
    else:
        findings += _without_key(selector, records)
    all_findings += findings
    facts["status"] = Outcome({}, *findings).verdict
    return facts


def _without_key(selector: _Selector, records: list[str]) -> Iterator[Finding]:
    if len(records) > 1:
        yield SEVERAL.at(selector.at, records=records)
    elif selector.texts:
        text = selector.texts[0]
        fix = _repaired(selector.at, text)
        yield SYNTAX.at(selector.at, record=text, reason=_why_unread(text), fix=fix)
    elif selector.answer.aliases:
        yield CNAME_BROKEN.at(selector.at, leads_to=selector.answer.aliases[-1])
    else:
        yield MISSING.at(selector.at, selector=selector.name)


def _of_key(name: str, text: str, key: Key) -> Iterator[Finding]:
    if key.revoked:
        yield REVOKED.at(name)
        return
    if key.key_type is KeyType.RSA and key.bits < WEAK_BITS:
        yield TOO_SHORT.at(name, bits=key.bits, least=WEAK_BITS)
    elif key.key_type is KeyType.RSA and key.bits < GOOD_BITS:
        yield SHORT.at(name, bits=key.bits, advised=GOOD_BITS)
    if key.is_sha1_only:
        yield SHA1.at(name, hashes=list(key.hashes), fix=_without_tag(name, text, "h"))
    if not key.is_for_mail:
        yield SERVICE.at(name, services=list(key.services), fix=_without_tag(name, text, "s"))
    if key.testing:
        flags = "s" if key.strict else None
        yield TESTING.at(name, fix=_without_tag(name, text, "t", flags))
    for problem in key.problems:
        yield UNKNOWN_HASH.at(f"{name} {problem.value}", reason=problem.reason)


def _why_unread(text: str) -> str:
    """What is wrong with a text that verifiers do not recognize as a key."""
    if "\\" in text:
        return "the record has backslashes, which belong to the zone file and not to the value"
    version = dict(tags.split(text)).get("v")
    if version is not None:
        return f"the version is {version[:40]!r}, but it must be exactly DKIM1"
    return "the text is not a DKIM key record, which has the form v=DKIM1; p=<key>"


def _repaired(name: str, text: str) -> Fix | None:
    """The fix that corrects every mistake around the key; None if the meaning is not evident."""
    pairs = dict(repair.tag_pairs(text, KNOWN_TAGS, protocol.VERSION) or ())
    is_versioned = re.fullmatch(r"dkim[0-9]*", pairs.pop("v", "dkim"), re.IGNORECASE)
    after = repair.joined([("v", protocol.VERSION), *pairs.items()])
    if not is_versioned or not pairs.get("p") or after == text:
        return None
    why = "Receivers cannot read the record, so signatures with this selector fail."
    return Fix.replace_txt(name, [text], after=after, why=why)


def _key_of(text: str) -> str | None:
    return dict(repair.tag_pairs(text, KNOWN_TAGS, protocol.VERSION) or ()).get("p")


def _without_tag(name: str, text: str, tag: str, value: str | None = None) -> Fix:
    after = tags.replaced(text, tag, value)
    why = f"Remove this value of {tag}=, so that the key is valid for all mail and current hashes."
    return Fix.replace_txt(name, [text], after=after, why=why)

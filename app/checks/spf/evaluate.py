"""``check_host``: whether an address may send mail with a given sender (RFC 7208 §4)."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.ports.dns import LookupFailed, Resolver
from app.protocols import names, spf
from app.protocols.spf import Directive, Qualifier, macros
from app.protocols.spf.macros import DomainSpec

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Result(StrEnum):
    """The SPF result of a message (§2.6)."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_RESULT_OF = {
    Qualifier.PASS: Result.PASS,
    Qualifier.FAIL: Result.FAIL,
    Qualifier.SOFTFAIL: Result.SOFTFAIL,
    Qualifier.NEUTRAL: Result.NEUTRAL,
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """The receiver that evaluates SPF, the time, and its limits.

    host, now         the values of ``%{r}`` and ``%{t}`` in an explanation (§7.2)
    max_void_lookups  a receiver may set its own limit (§4.6.4)
    """

    host: str = "unknown"
    now: datetime | None = None
    max_void_lookups: int = spf.MAX_VOID_LOOKUPS


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One evaluated term: the domain of its record, the term as written, and its outcome.

    outcome  ``match``, ``no match`` or ``follow`` (into an include or a redirect)
    """

    domain: str
    term: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The SPF result and how it was reached.

    domain         the domain that was checked: of MAIL FROM, or of HELO for the null sender
    explanation    the explanation that the domain publishes, for a fail only; None without one
    term           the term that decided, as written; None if none matched
    term_domain    the domain whose record contains that term
    lookups        evaluated terms, and macros p in them, that count against the ten (§4.6.4)
    void_lookups   those of them whose answer was empty
    reason         why the result is none, temperror or permerror, as text for people
    """

    result: Result
    domain: str
    explanation: str | None = None
    term: str | None = None
    term_domain: str | None = None
    lookups: int = 0
    void_lookups: int = 0
    reason: str | None = None
    trace: tuple[TraceStep, ...] = ()


RECEIVER = Receiver()


async def evaluate(
    dns: Resolver, *, ip: str, mail_from: str, helo: str, receiver: Receiver = RECEIVER
) -> Evaluation:
    """The SPF result for mail from ``ip``, with no more queries than the limits allow.

    ip         the address of the client; an IPv4-mapped one counts as IPv4 (§5)
    mail_from  as in the envelope, without angle brackets; ``""`` for the null sender (§2.4)
    returns    temperror where DNS failed; it never raises ``LookupFailed``
    raises     ValueError if ``ip`` is not an IP address
    source     §4, §5, §6
    """
    local_part, _, domain = mail_from.rpartition("@")
    domain = macros.plain(domain or helo)
    sender = f"{local_part or 'postmaster'}@{domain}"
    values = _values(ip, sender, helo, receiver)
    host = _CheckHost(
        dns=dns,
        ip=_address(ip),
        values=values,
        max_void_lookups=receiver.max_void_lookups,
    )
    try:
        outcome = await host.check(_a_labels(domain))
        explanation = await host.explain(outcome)
    except _PermError as error:
        outcome, explanation = _TermOutcome(Result.PERMERROR, reason=str(error)), None
    except LookupFailed as error:
        outcome, explanation = _TermOutcome(Result.TEMPERROR, reason=str(error)), None
    return Evaluation(
        result=outcome.result,
        domain=domain,
        explanation=explanation,
        term=outcome.term,
        term_domain=outcome.domain,
        lookups=host.lookups,
        void_lookups=host.void_lookups,
        reason=outcome.reason,
        trace=tuple(host.trace),
    )


class _PermError(Exception):
    """The whole evaluation ends with permerror, however deep it is."""


@dataclass(frozen=True, slots=True)
class _TermOutcome:
    result: Result
    domain: str | None = None
    term: str | None = None
    exp: DomainSpec | None = None
    reason: str | None = None


class _CheckHost:
    """One evaluation: its counters and the values of its macros."""

    def __init__(
        self, *, dns: Resolver, ip: Address, values: Mapping[str, str], max_void_lookups: int
    ) -> None:
        self._dns, self._ip, self._values = dns, ip, values
        self._max_void_lookups = max_void_lookups
        self._rdtype = "A" if ip.version == 4 else "AAAA"
        self.lookups = self.void_lookups = 0
        self.trace: list[TraceStep] = []

    async def check(self, domain: str) -> _TermOutcome:
        """``check_host`` for one domain; the limit of ten lookups bounds the depth."""
        if not _is_checkable(domain):
            return _TermOutcome(Result.NONE, reason=f"{domain} is not a valid domain name")
        texts = [text for text in await self._dns.txt(domain) if spf.is_record(text)]
        if not texts:
            return _TermOutcome(Result.NONE, reason=f"{domain} has no SPF record")
        if len(texts) > 1:
            raise _PermError(f"{domain} has {len(texts)} SPF records")
        try:
            record = spf.parse_record(texts[0])
        except spf.BadRecord as error:
            raise _PermError(f"the record of {domain} is invalid: {error}") from None
        return await self._evaluate(domain, record)

    async def explain(self, outcome: _TermOutcome) -> str | None:
        """The text at the target of exp; None if there is none or it is not available (§6.2)."""
        if outcome.result is not Result.FAIL or not outcome.exp or not outcome.domain:
            return None
        try:
            values = await self._values_at(outcome.domain, outcome.exp.letters)
            name = macros.shortened(macros.expand(outcome.exp.parts, values))
            texts = await self._dns.txt(name) if macros.is_queryable(name) else ()
            if len(texts) != 1:
                return None
            parts = macros.parse_explanation(texts[0])
            values = await self._values_at(outcome.domain, macros.letters(parts))
            return macros.expand(parts, values)
        except (LookupFailed, macros.BadMacro):  # §6.2: as if there were no exp
            return None

    async def _evaluate(self, domain: str, record: spf.Record) -> _TermOutcome:
        for directive in record.effective:
            if directive.is_lookup:
                self._count(domain, directive.text)
            is_match = await self._is_match(domain, directive)
            self._note(domain, directive.text, "match" if is_match else "no match")
            if is_match:
                exp = record.modifier("exp")
                return _TermOutcome(
                    result=_RESULT_OF[directive.qualifier],
                    domain=domain,
                    term=directive.text,
                    exp=exp.target if exp else None,
                )
        if record.redirect and record.redirect.target:
            return await self._redirect(domain, record.redirect.text, record.redirect.target)
        return _TermOutcome(Result.NEUTRAL)

    async def _redirect(self, domain: str, text: str, target: DomainSpec) -> _TermOutcome:
        self._count(domain, text)
        self._note(domain, text, "follow")
        outcome = await self.check(await self._name(domain, target))
        if outcome.result is Result.NONE:  # §6.1
            raise _PermError(f"{text} of {domain}: {outcome.reason}")
        return outcome

    async def _is_match(self, domain: str, directive: Directive) -> bool:
        match directive.mechanism:
            case "all":
                return True
            case "ip4" | "ip6":
                return directive.network is not None and self._ip in directive.network
            case "ptr":
                return await self._is_named(await self._target(domain, directive))
            case "include":
                return await self._is_included(domain, directive)
            case _:
                name = await self._target(domain, directive)
                return macros.is_queryable(name) and await self._is_at(name, directive)

    async def _is_at(self, name: str, directive: Directive) -> bool:
        """``a`` (§5.3), ``mx`` (§5.4) and ``exists`` (§5.7)."""
        if directive.mechanism == "exists":
            return bool(self._void(await self._resolve(name, "A")))  # A, for IPv6 clients too
        if directive.mechanism == "a":
            return self._is_among(self._void(await self._resolve(name, self._rdtype)), directive)
        exchanges = await self._dns.mx(name)
        self._void([exchange.host for exchange in exchanges])
        for index, host in enumerate(exchange.host for exchange in exchanges):
            if index == spf.MAX_NAMES:
                raise _PermError(f"{name} has more than {spf.MAX_NAMES} MX records")
            addresses = await self._resolve(host, self._rdtype) if host else []
            if len(addresses) > spf.MAX_NAMES:
                raise _PermError(f"{host} has more than {spf.MAX_NAMES} addresses")
            if self._is_among(addresses, directive):
                return True
        return False

    async def _is_included(self, domain: str, directive: Directive) -> bool:
        """Whether the included record results in pass; none and errors are errors (§5.2)."""
        self._note(domain, directive.text, "follow")
        outcome = await self.check(await self._target(domain, directive))
        if outcome.result is Result.NONE:
            raise _PermError(f"{directive.text} of {domain}: {outcome.reason}")
        return outcome.result is Result.PASS

    async def _is_named(self, target: str) -> bool:
        """Whether one of the client's first ten names is in ``target`` and resolves back (§5.5)."""
        client_names = await self._names()
        if client_names is None:
            return False
        self._void(client_names)
        for name in client_names:
            if (name == target or names.is_below(name, target)) and await self._resolves_back(name):
                return True
        return False

    async def _names(self) -> list[str] | None:
        """The first ten PTR names of the client's address, in the order of the answer."""
        try:
            answers = await self._resolve(self._ip.reverse_pointer, "PTR")
        except LookupFailed:  # §5.5: the mechanism fails to match
            return None
        return [macros.plain(name) for name in answers[: spf.MAX_NAMES]]

    async def _resolves_back(self, name: str) -> bool:
        try:
            return str(self._ip) in [
                str(ipaddress.ip_address(text)) for text in await self._resolve(name, self._rdtype)
            ]
        except LookupFailed:  # §5.5: the name is skipped
            return False

    async def _validated_name(self, domain: str) -> str:
        """The value of ``%{p}``: the domain, else a name below it, else any (§7.3)."""
        valid = [name for name in await self._names() or () if await self._resolves_back(name)]
        below = [name for name in valid if names.is_below(name, domain)]
        return domain if domain in valid else (below + valid + ["unknown"])[0]

    async def _target(self, domain: str, directive: Directive) -> str:
        return await self._name(domain, directive.target) if directive.target else domain

    async def _name(self, domain: str, target: DomainSpec) -> str:
        if "p" in target.letters:
            self._count(domain, target.text)
        values = await self._values_at(domain, target.letters)
        return macros.shortened(macros.expand(target.parts, values))

    async def _values_at(self, domain: str, letters: frozenset[str]) -> Mapping[str, str]:
        values = {**self._values, "d": domain}
        if "p" in letters:
            values["p"] = await self._validated_name(domain)
        return values

    async def _resolve(self, name: str, rdtype: str) -> list[str]:
        answer = await self._dns.resolve(name, rdtype)
        return [text for text in answer.rdatas if isinstance(text, str)]

    def _is_among(self, addresses: list[str], directive: Directive) -> bool:
        bits = directive.cidr4 if self._ip.version == 4 else directive.cidr6
        return any(
            self._ip in ipaddress.ip_network((address, bits), strict=False) for address in addresses
        )

    def _count(self, domain: str, text: str) -> None:
        """Count a lookup before its query, so that none is sent beyond the limit."""
        self.lookups += 1
        if self.lookups > spf.MAX_LOOKUPS:
            raise _PermError(
                f"{text} of {domain} is lookup {self.lookups} of at most {spf.MAX_LOOKUPS}"
            )

    def _void(self, answers: list[str]) -> list[str]:
        if not answers:
            self.void_lookups += 1
        if self.void_lookups > self._max_void_lookups:
            raise _PermError(f"more than {self._max_void_lookups} lookups returned nothing")
        return answers

    def _note(self, domain: str, text: str, outcome: str) -> None:
        self.trace.append(TraceStep(domain, text, outcome))


def _address(ip: str) -> Address:
    address = ipaddress.ip_address(ip)
    return getattr(address, "ipv4_mapped", None) or address


def _values(ip: str, sender: str, helo: str, receiver: Receiver) -> Mapping[str, str]:
    """The values of the macros, except ``d`` and ``p`` (§7.3)."""
    address = _address(ip)
    is_ip4 = address.version == 4
    return {
        "s": sender,
        "l": sender.rpartition("@")[0],
        "o": sender.rpartition("@")[2],
        "i": str(address) if is_ip4 else ".".join(address.exploded.replace(":", "")),
        "v": "in-addr" if is_ip4 else "ip6",
        "h": helo,
        "c": str(address),
        "r": receiver.host,
        "t": str(int(receiver.now.timestamp())) if receiver.now else "0",
    }


def _a_labels(domain: str) -> str:
    """The domain with A-labels (§4.3); empty if it has no valid form in ASCII."""
    try:
        return domain if domain.isascii() else names.parse_host(domain)
    except names.NotADomain:
        return ""


def _is_checkable(domain: str) -> bool:
    """Whether the name is well-formed, has two labels or more, and is no address literal (§4.3)."""
    return "." in domain and not domain.startswith("[") and macros.is_queryable(domain)

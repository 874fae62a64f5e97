"""Findings about the text of an SPF record: its end, the order of its terms, its networks."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from app.checks.engine.types import Finding, FindingType, Fix, Severity
from app.checks.spf.tree import Source, Tree, networks, passing
from app.protocols import names, spf
from app.protocols.spf import Qualifier, Record, repair

MAX_RECORD = 450  # characters, so that the answer stays below 512 octets (RFC 7208 §3.4)
BROAD_IP4, BROAD_IP6 = 16, 32  # shorter prefixes are too wide for one sender
BROAD_TOTAL = 1 << 20  # IPv4 addresses, each counted once

Prefix = tuple[int, int, int]  # version, length, and the bits of that length

ALL_PASS = FindingType(
    code="spf.all_pass",
    severity=Severity.CRITICAL,
    summary="SPF ends in +all: anyone may send as this domain",
    observed="The SPF record of {subject} is {record}. The qualifier of its term `all` is `+`.",
    why="Mail from every address on the internet passes SPF for the domain.",
    remediation="End the record with `~all`, and with `-all` once you know all of your senders.",
    reference="RFC 7208 §5.1",
)
ALL_NEUTRAL = FindingType(
    code="spf.all_neutral",
    severity=Severity.MEDIUM,
    summary="SPF ends in ?all: receivers learn nothing about other senders",
    observed="The SPF record of {subject} is {record}. The qualifier of its term `all` is `?`.",
    why="Receivers treat mail from other addresses as if there were no SPF record.",
    remediation="End the record with `~all`.",
    reference="RFC 7208 §8.2",
)
ALL_MISSING = FindingType(
    code="spf.all_missing",
    severity=Severity.MEDIUM,
    summary='SPF has no "all" term, so other senders are treated as neutral',
    observed="The SPF record of {subject} is {record}. It has neither `all` nor `redirect`.",
    why="Receivers treat mail from other addresses as if there were no SPF record.",
    remediation="End the record with `~all`.",
    note="The record has neither `all` nor `redirect`.",
    reference="RFC 7208 §4.7",
)
ALL_SOFTFAIL = FindingType(
    code="spf.all_softfail",
    severity=Severity.INFO,
    summary="SPF ends in ~all: other senders are marked, not rejected",
    observed="The last mechanism of the SPF record of {subject} is `~all`.",
    why="With an enforced DMARC policy this is as effective as `-all`; without one, receivers "
    "usually deliver the mail of other senders.",
    remediation="No action is needed; use `-all` once you know all of your senders.",
    reference="RFC 7208 §8.5",
)
AFTER_ALL = FindingType(
    code="spf.terms_after_all",
    severity=Severity.MEDIUM,
    summary='SPF terms after "all" are ignored',
    observed="In the SPF record of {subject}, {terms} follows `all`.",
    why="Receivers stop at `all`, so the senders that the later terms allow do not pass SPF.",
    remediation="Move the terms before `all`, or remove them.",
    reference="RFC 7208 §5.1",
)
REDIRECT_WITH_ALL = FindingType(
    code="spf.redirect_with_all",
    severity=Severity.MEDIUM,
    summary='SPF redirect is ignored because the record has "all"',
    observed="The SPF record of {subject} has {term} as well as `all`.",
    why="Receivers stop at `all`, so the record that the redirect names has no effect.",
    remediation="Remove `redirect` or `all`, whichever you do not need.",
    reference="RFC 7208 §6.1",
)
MODIFIERS_FIRST = FindingType(
    code="spf.modifiers_before_mechanisms",
    severity=Severity.INFO,
    summary="SPF modifiers belong at the end of the record",
    observed="In the SPF record of {subject}, {term} precedes a mechanism.",
    why="The record works, but its readers can easily misunderstand it.",
    remediation="Move `redirect` and `exp` to the end of the record.",
    reference="RFC 7208 §6",
)
IGNORED_MODIFIER = FindingType(
    code="spf.ignored_modifier",
    severity=Severity.MEDIUM,
    summary="SPF: probable typing error (unknown modifier), which receivers ignore",
    observed="The SPF record of {name} is {record}. SPF has no modifier like {item}; {meant} was "
    "probably intended.",
    why="Receivers ignore unknown modifiers such as `ip4=192.0.2.1`, so the senders that this one "
    "names do not pass SPF.",
    remediation="If these senders may send as the domain, write the term as a mechanism with a "
    "colon, such as `ip4:192.0.2.1`; otherwise remove it.",
    note="A term has the name of a mechanism, or almost that of `redirect`, and `=` after it; info "
    "if its value names no sender.",
    reference="RFC 7208 §6",
    is_syntax=True,
)
PTR_USED = FindingType(
    code="spf.ptr_used",
    severity=Severity.LOW,
    summary="SPF uses ptr, which is slow and unreliable",
    observed="The SPF record of {subject} has the term {terms}.",
    why="Every message costs reverse lookups, and receivers that skip the term do not accept the "
    "senders that it allows.",
    remediation="List the hosts with `ip4`, `ip6`, `a` or `mx`.",
    reference="RFC 7208 §5.5",
)
EXISTS_MACRO = FindingType(
    code="spf.exists_macro",
    severity=Severity.INFO,
    summary="SPF uses a macro, so the allowed senders depend on each message",
    observed="The SPF record of {subject} has the term {terms}.",
    why="A scan cannot show which senders the term allows.",
    remediation="No action is needed; ask the service which senders it allows.",
    reference="RFC 7208 §7",
)
BROAD_IP = FindingType(
    code="spf.overly_broad_ip",
    severity=Severity.MEDIUM,
    summary="SPF allows a very large number of addresses to send",
    observed="The SPF record of {name} allows {addresses:count} addresses{item:aside}.",
    why="Many hosts that are not yours can send mail as the domain that passes SPF.",
    remediation="List only the networks that send.",
    note="A network is wider than /16 (IPv4) or /32 (IPv6), or more than a million addresses are "
    "allowed in total.",
    reference="RFC 7208 §5.6",
)
OPEN_NETWORK = FindingType(
    code="spf.open_network",
    severity=Severity.CRITICAL,
    summary="SPF allows half of all addresses or more, so almost anyone may send as this domain",
    observed="The SPF record of {name} has the term {item}.",
    why="Most senders on the internet pass SPF for the domain, which is nearly the effect of "
    "`+all`.",
    remediation="Remove the network, or correct its prefix length.",
    reference="RFC 7208 §5.6",
)
REDUNDANT_IP = FindingType(
    code="spf.redundant_ip",
    severity=Severity.LOW,
    summary="SPF lists the same address more than once",
    observed="In the SPF record of {subject}, another term already covers {terms}.",
    why="The term has no effect and makes the record longer.",
    remediation="Remove the redundant term.",
    note="Another term allows the same addresses.",
    reference="RFC 7208 §5.6",
)
DUPLICATE_INCLUDE = FindingType(
    code="spf.duplicate_include",
    severity=Severity.LOW,
    summary="SPF lists the same include twice, which wastes DNS lookups",
    observed="The SPF record of {subject} has the term {terms} more than once.",
    why="Receivers look the include up each time, which uses up the limit of ten lookups.",
    remediation="Remove one of the two terms.",
    reference="RFC 7208 §4.6.4",
)
TOO_LONG = FindingType(
    code="spf.record_too_long",
    severity=Severity.LOW,
    summary="SPF record is longer than recommended",
    observed="The SPF record of {subject} has {length} characters. At most {advised} are "
    "recommended.",
    why="The response may not fit into one UDP packet, and receivers that cannot use TCP then "
    "get no record.",
    remediation="Move part of the record into a separate record, and include it.",
    note="The record has more than 450 characters.",
    reference="RFC 7208 §3.4",
)

FINDING_TYPES = (
    *(ALL_PASS, ALL_NEUTRAL, ALL_MISSING, ALL_SOFTFAIL, AFTER_ALL, REDIRECT_WITH_ALL),
    *(MODIFIERS_FIRST, PTR_USED, EXISTS_MACRO, BROAD_IP, OPEN_NETWORK, REDUNDANT_IP),
    *(DUPLICATE_INCLUDE, TOO_LONG, IGNORED_MODIFIER),
)


def findings(tree: Tree, in_force: Source | None, ip4_count: int) -> Iterator[Finding]:
    """All findings about the texts of the root record and of the record in force.

    in_force   the record whose end decides, after redirects
    ip4_count  the number of IPv4 addresses that may send
    """
    root, text = tree.root, tree.root.texts[0]
    if root.record is not None:
        yield from _of_order(root.name, text, root.record)
        yield from _of_modifiers(root.name, text, root.record)
        yield from _of_terms(root, root.record)
    yield from _of_width(tree, ip4_count)
    if in_force is not None and in_force.record is not None:
        is_own = in_force.name == root.name or names.is_below(in_force.name, root.name)
        yield from _of_end(in_force.name, in_force.texts[0], in_force.record, is_own=is_own)
    if len(text) > MAX_RECORD:
        yield TOO_LONG.at(root.name, length=len(text), advised=MAX_RECORD)


def rewrite(name: str, before: str, terms: Iterable[str], why: str) -> Fix:
    """The fix that replaces ``before`` with a record of these terms."""
    after = " ".join((spf.VERSION, *terms))
    return Fix.replace_txt(name, [before], after=after, why=why)


def _of_end(name: str, text: str, record: Record, *, is_own: bool) -> Iterator[Finding]:
    """Findings about what happens to mail that no other term matches.

    is_own  False for a record of another domain (by redirect), which gets no fix
    """
    words = spf.words(text)

    def fix(terms: Sequence[str], why: str) -> Fix | None:
        return rewrite(name, text, terms, why) if is_own else None

    end = record.all
    if end is None:
        if record.redirect is None:
            why = "Mail from other addresses is treated as if there were no SPF. End with ~all."
            yield ALL_MISSING.at(name, record=text, fix=fix([*words, "~all"], why))
        return
    with_softfail = ["~all" if word == end.text else word for word in words]
    match end.qualifier:
        case Qualifier.PASS:
            why = "Every address in the world passes SPF for this domain. End with ~all instead."
            yield ALL_PASS.at(name, record=text, fix=fix(with_softfail, why))
        case Qualifier.NEUTRAL:
            why = "Receivers learn nothing about mail from other addresses. End with ~all instead."
            yield ALL_NEUTRAL.at(name, record=text, fix=fix(with_softfail, why))
        case Qualifier.SOFTFAIL:
            yield ALL_SOFTFAIL.at(name)


def _of_order(name: str, text: str, record: Record) -> Iterator[Finding]:
    words = spf.words(text)
    late = record.directives[len(record.effective) :]
    if dead := [term.text for term in late]:
        moved = [term.text for term in late if term.mechanism != "all"]
        why = "Receivers stop at all. Move the terms after it to the front, or remove them."
        after = rewrite(name, text, [*moved, *_without(words, dead)], why)
        yield AFTER_ALL.at(name, terms=dead, fix=after)
    redirect = record.modifier("redirect")
    if redirect and record.all:
        terms = [word for word in words if word != redirect.text]
        why = "A redirect is ignored in a record with all. Remove it if all is what you need."
        yield REDIRECT_WITH_ALL.at(name, term=redirect.text, fix=rewrite(name, text, terms, why))
    elif redirect and record.terms and record.terms[-1] in record.directives:
        yield MODIFIERS_FIRST.at(name, term=redirect.text)


def _of_modifiers(name: str, text: str, record: Record) -> Iterator[Finding]:
    """Findings about modifiers that were meant to be other terms.

    The fix allows senders that do not pass today, but only those that the owner's record names.
    """
    for term in record.terms:
        if not isinstance(term, spf.Modifier) or not repair.is_mistaken(term):
            continue
        meant = repair.intended(term)
        after = repair.repaired(text) if meant else None
        why = (
            f"Receivers ignore {term.text}. With {meant}, the senders that it names pass SPF. "
            "Remove the term instead if they must not send as the domain."
        )
        yield IGNORED_MODIFIER.at(
            f"{name} {term.text}",
            record=text,
            meant=meant,
            severity=None if meant else Severity.INFO,
            fix=Fix.replace_txt(name, [text], after=after, why=why) if after else None,
        )


def _of_terms(root: Source, record: Record) -> Iterator[Finding]:
    name, text = root.name, root.texts[0]
    words = spf.words(text)
    if ptrs := [term.text for term in record.effective if term.mechanism == "ptr"]:
        removed = set(ptrs)
        remaining = [word for word in words if word not in removed]
        why = "Many receivers skip ptr. List the addresses with ip4, ip6, a or mx instead."
        yield PTR_USED.at(name, terms=ptrs, fix=rewrite(name, text, remaining, why))
    if macros := [term.text for term in record.effective if term.target and term.target.letters]:
        yield EXISTS_MACRO.at(name, terms=macros)
    includes = [word.lower() for word in words if word.lower().lstrip("+").startswith("include:")]
    if repeated := sorted(word for word, count in Counter(includes).items() if count > 1):
        first: dict[str, str] = {}
        for word in words:
            first.setdefault(word.lower(), word)
        fix = rewrite(name, text, first.values(), "Each occurrence costs lookups. List it once.")
        yield DUPLICATE_INCLUDE.at(name, terms=repeated, fix=fix)
    if redundant := _covered(record):
        remaining = _without(words, redundant)
        why = "Another term of the record allows the same addresses. Remove this one."
        yield REDUNDANT_IP.at(name, terms=redundant, fix=rewrite(name, text, remaining, why))


def _without(words: Sequence[str], removed: Iterable[str]) -> list[str]:
    """The words without the removed ones; of a repeated word the last occurrence goes first."""
    to_remove = Counter(removed)
    remaining = []
    for word in reversed(words):
        if to_remove[word]:
            to_remove[word] -= 1
        else:
            remaining.append(word)
    return remaining[::-1]


def _covered(record: Record) -> list[str]:
    """The passing networks that change no result: another term decides the same for them.

    That is an earlier or equal network around it, or a later one with no term in between that could
    decide otherwise. Each network is searched by the prefix lengths that occur, not compared with
    every other one: a record may have thousands of them.
    """
    positions: dict[Prefix, list[int]] = {}
    others = [0]  # how many terms up to each position do not result in pass
    for index, term in enumerate(record.effective):
        is_pass = term.qualifier is Qualifier.PASS
        others.append(others[-1] + (not is_pass))
        if is_pass and term.network is not None:
            prefix = _prefix(term.network, term.network.prefixlen)
            positions.setdefault(prefix, []).append(index)
    lengths = {(version, length) for version, length, _ in positions}
    covered = []
    for index, term in enumerate(record.effective):
        network = term.network
        if network is None or term.qualifier is not Qualifier.PASS:
            continue
        around = [
            at
            for version, length in lengths
            if version == network.version and length <= network.prefixlen
            for at in _nearest(positions.get(_prefix(network, length), []), index)
            if at < index or length < network.prefixlen  # of two equal ones, the later
        ]
        if any(_decides(at, index, others) for at in around):
            covered.append(term.text)
    return covered


def _nearest(places: list[int], index: int) -> list[int]:
    """The first place of all, and the first one after the index."""
    after = bisect_right(places, index)
    return [*places[:1], *places[after : after + 1]]


def _decides(at: int, index: int, others: Sequence[int]) -> bool:
    """Whether the network at one place makes the narrower or equal one at ``index`` redundant."""
    return at < index or (at > index and others[at] == others[index + 1])


def _prefix(network: spf.Network, length: int) -> Prefix:
    shift = network.max_prefixlen - length
    return network.version, length, int(network.network_address) >> shift


def _of_width(tree: Tree, ip4_count: int) -> Iterator[Finding]:
    """Findings about networks anywhere in the tree that are too wide for a sender."""
    for source in passing(tree):
        for term, network in networks(source):
            if network.prefixlen <= 1:
                yield OPEN_NETWORK.at(f"{source.name} {term.text}", addresses=str(network))
            elif network.prefixlen < (BROAD_IP4 if network.version == 4 else BROAD_IP6):
                yield BROAD_IP.at(
                    f"{source.name} {term.text}", addresses=str(network.num_addresses)
                )
    if ip4_count > BROAD_TOTAL:
        yield BROAD_IP.at(tree.root.name, addresses=str(ip4_count))

"""SPF: who may send as the domain, and whether receivers can evaluate it (RFC 7208)."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.catalog import senders
from app.checks.engine import cname_conflict
from app.checks.engine.types import (
    Finding,
    Fix,
    Outcome,
    Subject,
    Usage,
    Verdict,
    check,
    finish,
)
from app.checks.spf import absent, drift, keeping, lint
from app.checks.spf import costs as spf_costs
from app.checks.spf import tree as spf_tree
from app.checks.spf.costs import Cost
from app.checks.spf.finding_types import (
    BAD_INCLUDE,
    CNAME_CONFLICT,
    EXP_PROBLEM,
    INCLUDE_LOOP,
    MX_MANY,
    NEAR,
    NO_RECORD,
    NOT_FOUND,
    NOT_LOCKED,
    REDIRECT_LOOP,
    REPEATED,
    SENDER_ID,
    SEVERAL,
    SYNTAX,
    TAKEOVER,
    TOO_MANY,
    UNKNOWN,
    VOIDS,
)
from app.checks.spf.tree import Tree
from app.ports.dns import LookupFailed, Resolver, or_failure
from app.protocols import public_suffix
from app.protocols import spf as protocol
from app.protocols.spf import macros, repair

NEAR_LIMIT = 8  # lookups; from here on, one more service may exceed the limit of ten


_OF_PROBLEM = {
    "syntax_error": SYNTAX,
    "unknown_mechanism": UNKNOWN,
    "modifier_repeated": REPEATED,
}


@check(
    "spf",
    finds=(
        *(*absent.FINDING_TYPES, SEVERAL, SYNTAX, UNKNOWN, REPEATED, SENDER_ID, EXP_PROBLEM),
        *(TOO_MANY, NEAR, VOIDS, MX_MANY, NOT_FOUND, NO_RECORD, BAD_INCLUDE),
        *(INCLUDE_LOOP, REDIRECT_LOOP, TAKEOVER, NOT_LOCKED, *lint.FINDING_TYPES),
        *(drift.DRIFT, CNAME_CONFLICT),
    ),
    logic_version=5,
    keeps=keeping.keeps,
)
async def spf(subject: Subject, dns: Resolver) -> Outcome:
    """Check the whole tree of the record, as a receiver would evaluate it in the worst case.

    facts  record_count, result (valid | permerror | none), lookups, void_lookups, all; record,
           includes (nested), providers, ip4_addresses, complete, vendors (``spf_drift.facts``)
    """
    tree = await spf_tree.walk(dns, subject.domain)
    conflicts = await cname_conflict.findings(CNAME_CONFLICT, subject.domain, dns)
    return (await _outcome(subject, tree, dns)).with_findings(conflicts)


async def _outcome(subject: Subject, tree: Tree, dns: Resolver) -> Outcome:
    root = tree.root
    if root.status != "valid":
        return await _without_record(subject, tree, dns)
    findings = list(_loops(tree))
    costs = {} if findings else spf_costs.costs(tree)  # a loop costs without end
    cost = costs.get(root.name)
    includes = spf_costs.outline(tree, costs)
    if cost is not None:
        cost = Cost(cost.lookups, max(cost.voids, spf_costs.ip6_voids(tree)))
        findings += _limits(tree, cost, includes)
    findings += await _broken_links(tree, dns)
    result = "permerror" if any(_is_permerror(finding) for finding in findings) else "valid"
    in_force = spf_tree.in_force(tree)
    ip4_count = spf_tree.ip4_count(tree)
    findings += lint.findings(tree, in_force, ip4_count)
    findings += [*_usage(subject, root.texts[0], tree), *_sender_id(root.name, root.others)]
    vendors = drift.facts(subject, tree)
    findings += drift.findings(subject, tree, vendors)
    failures = await _note_explanation(in_force, dns, findings)
    facts = {
        "record_count": 1,
        "result": result,
        "lookups": cost.lookups if cost else None,
        "void_lookups": cost.voids if cost else None,
        "all": _end(in_force),
        "record": root.texts[0],
        "includes": includes,
        "providers": _providers(tree),
        "ip4_addresses": ip4_count,
        "complete": tree.is_complete,
        "vendors": vendors,
    }
    return finish(facts, findings, failures, worst=Verdict.WARN)


async def _without_record(subject: Subject, tree: Tree, dns: Resolver) -> Outcome:
    """The outcome if there is no record, more than one, or an unreadable one."""
    root = tree.root
    findings = list(_sender_id(root.name, root.others))
    if len(root.texts) > 1:
        findings.append(_several(root))
    elif root.texts:
        findings += _of_problems(root)
    else:
        findings += await absent.findings(subject, root.others, dns)
    facts = {
        "record_count": len(root.texts),
        "result": "permerror" if root.texts else "none",
        "lookups": None,
        "void_lookups": None,
        "all": None,
        "record": root.texts[0] if len(root.texts) == 1 else None,
    }
    return Outcome(facts, *findings)


def _of_problems(root: spf_tree.Source) -> Iterator[Finding]:
    """A finding for each invalid term; one fix corrects all of them."""
    text, fix = root.texts[0], None
    if after := repair.repaired(text):
        why = "One invalid term makes every check fail (permerror). Correct the record."
        fix = Fix.replace_txt(root.name, [text], after=after, why=why)
    for problem in root.problems:
        kind, subject = _OF_PROBLEM[problem.kind], f"{root.name} {problem.term}"
        yield kind.at(subject, record=text, reason=problem.reason, fix=fix)


def _end(in_force: spf_tree.Source | None) -> str | None:
    end = in_force.record.all if in_force and in_force.record else None
    return f"{end.qualifier}all" if end else None


async def _note_explanation(
    in_force: spf_tree.Source | None, dns: Resolver, findings: list[Finding]
) -> list[LookupFailed]:
    """Add the findings about the explanation, or return why it could not be queried."""
    problems = await or_failure(_explanation(in_force, dns))
    if isinstance(problems, LookupFailed):
        return [problems]
    findings += problems
    return []


async def _explanation(in_force: spf_tree.Source | None, dns: Resolver) -> list[Finding]:
    """Findings about the text that receivers show when they reject mail (§6.2)."""
    exp = in_force.record.modifier("exp") if in_force and in_force.record else None
    name = exp.target.name_at(in_force.name) if in_force and exp and exp.target else None
    if exp is None or name is None or not macros.is_queryable(name):
        return []
    texts = await dns.txt(name)
    if len(texts) != 1:
        reason = "there is more than one text" if texts else "there is no text"
        return [EXP_PROBLEM.at(name, term=exp.text, reason=reason)]
    try:
        macros.parse_explanation(texts[0])
    except macros.BadMacro as error:
        return [EXP_PROBLEM.at(name, term=exp.text, reason=str(error), text=texts[0])]
    return []


def _several(root: spf_tree.Source) -> Finding:
    """The finding about several records, with the reasons why some of them cannot be merged."""
    unclear = [
        f"{problem.term}: {problem.reason}"
        for text in sorted(root.texts)
        if repair.corrected(text) is None
        for problem in protocol.problems(text)
    ]
    evidence: dict[str, Any] = {"malformed": unclear} if unclear else {}
    return SEVERAL.at(root.name, records=list(root.texts), fix=_merged(root), **evidence)


def _merged(root: spf_tree.Source) -> Fix | None:
    """One record with the terms of all; None if they cannot be combined without a decision.

    Evident mistakes are corrected. A redirect becomes an include. The end is the strictest that the
    records have.
    """
    texts = sorted(root.texts)
    corrected = [text for text in map(repair.corrected, texts) if text is not None]
    if len(corrected) < len(texts):
        return None
    words = list(dict.fromkeys(word for text in corrected for word in protocol.words(text)))
    terms = [protocol.parse_term(word) for word in words]
    redirects = {
        term.text
        for term in terms
        if isinstance(term, protocol.Modifier) and term.name == "redirect"
    }
    ends = [word for word in words if word.lower().lstrip("+-~?") == "all"]
    if len(redirects) > 1 or any(_needs_decision(term) for term in terms):
        return None
    merged = dict.fromkeys(
        f"include:{word.partition('=')[2]}" if word in redirects else word
        for word in words
        if word not in ends
    )
    end = next((end for end in ("-all", "~all", "?all") if end in ends), "~all")
    after = " ".join((protocol.VERSION, *merged, end))
    why = "Every check fails if there is more than one record. Merge all terms into one record."
    return Fix.replace_txt(root.name, texts, after=after, why=why)


def _needs_decision(term: protocol.Term | protocol.Problem) -> bool:
    """Whether the position of the term matters."""
    return (
        isinstance(term, protocol.Directive)
        and term.mechanism != "all"
        and term.qualifier is not protocol.Qualifier.PASS
    )


def _loops(tree: Tree) -> Iterator[Finding]:
    for loop in spf_tree.loops(tree):
        kind = REDIRECT_LOOP if all(link.is_redirect for link in loop) else INCLUDE_LOOP
        yield kind.at(loop[0].owner, path=[link.owner for link in loop] + [loop[-1].target])


def _limits(tree: Tree, cost: Cost, includes: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    name = tree.root.name
    if cost.lookups > protocol.MAX_LOOKUPS:
        yield TOO_MANY.at(
            name,
            lookups=cost.lookups,
            limit=protocol.MAX_LOOKUPS,
            complete=tree.is_complete,
            dearest=_most_expensive(includes),
        )
    elif cost.lookups >= NEAR_LIMIT:
        yield NEAR.at(name, lookups=cost.lookups, limit=protocol.MAX_LOOKUPS)
    if cost.voids > protocol.MAX_VOID_LOOKUPS:
        empty = [
            f"{kind} {target}"
            for (kind, target), counts in tree.record_counts.items()
            if not (counts.ip4 and counts.ip6)
        ]
        yield VOIDS.at(name, void_lookups=cost.voids, empty=empty)
    for (mechanism, target), counts in tree.record_counts.items():
        if mechanism == "mx" and max(counts.ip4, counts.host_addresses) > protocol.MAX_NAMES:
            yield MX_MANY.at(target, hosts=counts.ip4, addresses=counts.host_addresses)


def _most_expensive(includes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lookups of each include or redirect of the record itself, most expensive first."""
    costs = [{"domain": entry["domain"], "lookups": entry["lookups"]} for entry in includes]
    return sorted(costs, key=lambda entry: -(entry["lookups"] or 0))


async def _broken_links(tree: Tree, dns: Resolver) -> list[Finding]:
    kinds = {"none": NO_RECORD, "several": BAD_INCLUDE, "syntax_error": BAD_INCLUDE}
    kinds["not_found"] = NOT_FOUND
    broken = {
        link.target: (link, kinds[status])
        for name in tree.sources
        for link in tree.links(name)
        if (status := tree.status(link.target)) in kinds
    }
    not_found = [target for target, (_, kind) in broken.items() if kind is NOT_FOUND]
    unregistered = {target for target in not_found if await _is_unregistered(dns, target)}
    findings = []
    for target, (link, kind) in broken.items():
        source = tree.sources[target]
        evidence: dict[str, Any] = {
            "term": link.text,
            "in": link.owner,
            "records": list(source.texts),
        }
        fix = _without_term(tree, link) if kind in (NOT_FOUND, NO_RECORD) else None
        findings.append(kind.at(target, fix=fix, **evidence))
        if target in unregistered:
            registrable = public_suffix.registrable(target)
            findings.append(TAKEOVER.at(target, fix=fix, domain=registrable, **evidence))
    return findings


async def _is_unregistered(dns: Resolver, target: str) -> bool:
    """Whether the registrable domain does not exist, so that its next owner could send mail."""
    registrable = public_suffix.registrable(target)
    return registrable is not None and not (await dns.resolve(registrable, "SOA")).exists


def _without_term(tree: Tree, link: spf_tree.Link) -> Fix | None:
    """The fix that removes the term; None if the term is in a record of another domain."""
    if link.owner != tree.root.name:
        return None
    text = tree.root.texts[0]
    terms = [word for word in protocol.words(text) if word != link.text]
    if link.is_redirect:
        terms.append("~all")
    why = "Checks fail (permerror) as long as the record contains this term. Remove it."
    return lint.rewrite(link.owner, text, terms, why)


def _is_permerror(finding: Finding) -> bool:
    """Whether every receiver ends with permerror; the limit of void lookups is its own choice."""
    return finding.kind in (
        *(TOO_MANY, MX_MANY, NOT_FOUND, NO_RECORD, BAD_INCLUDE),
        *(INCLUDE_LOOP, REDIRECT_LOOP),
    )


def _usage(subject: Subject, text: str, tree: Tree) -> Iterator[Finding]:
    record = tree.root.record
    is_lock = record is not None and all(term.qualifier == "-" for term in record.effective)
    if subject.usage in (Usage.PARKED, Usage.RECEIVES) and not (is_lock and record and record.all):
        why = "The domain sends no mail. With this record, no server may send as it."
        fix = lint.rewrite(subject.domain, text, ["-all"], why)
        yield NOT_LOCKED.at(subject.domain, record=text, usage=subject.usage.value, fix=fix)


def _sender_id(name: str, others: Sequence[str]) -> Iterator[Finding]:
    if records := [text for text in others if text.lower().startswith("spf2.0/")]:
        yield SENDER_ID.at(name, records=records)


def _providers(tree: Tree) -> list[str]:
    """The well-known services in the record and its includes, each once."""
    return list(dict.fromkeys(sender.name for name in tree.sources if (sender := senders.of(name))))

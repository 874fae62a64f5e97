"""The types of findings about the SPF record, its lookups and its includes."""

from app.checks.engine import cname_conflict
from app.checks.engine.types import FindingType, Severity, Verdict

SEVERAL = FindingType(
    code="spf.multiple_records",
    severity=Severity.CRITICAL,
    summary="SPF: more than one record, so every check fails (permerror)",
    observed="{subject} has the SPF records {records}.",
    why="Receivers use none of the records, so legitimate mail does not pass SPF.",
    remediation="Merge all terms into one record. Correct malformed terms first; the finding names "
    "them.",
    reference="RFC 7208 §4.5",
    hides_others=True,
)
SYNTAX = FindingType(
    code="spf.syntax_error",
    severity=Severity.CRITICAL,
    summary="SPF: syntax error in the record, so every check fails (permerror)",
    observed="The SPF record of {name} is {record}. The term {item} cannot be read: {reason:text}.",
    why="Receivers discard the whole record, so legitimate mail does not pass SPF.",
    remediation="Correct or remove the term that the finding names.",
    note="A term is neither a mechanism nor a modifier, or its value is invalid.",
    reference="RFC 7208 §4.6",
    hides_others=True,
    is_syntax=True,
)
UNKNOWN = FindingType(
    code="spf.unknown_mechanism",
    severity=Severity.CRITICAL,
    summary="SPF: unknown mechanism in the record, so every check fails (permerror)",
    observed="The SPF record of {name} is {record}. The term {item} cannot be read: {reason:text}.",
    why="Receivers discard the whole record, so legitimate mail does not pass SPF.",
    remediation="Correct the name of the mechanism; it is usually a typing error such as "
    "`inlude:`.",
    reference="RFC 7208 §4.6.1",
    hides_others=True,
    is_syntax=True,
)
REPEATED = FindingType(
    code="spf.modifier_repeated",
    severity=Severity.CRITICAL,
    summary="SPF has a duplicate redirect/exp",
    observed="The SPF record of {name} is {record}: {reason:text}.",
    why="Each of these modifiers may appear only once, so every check fails with permerror and "
    "legitimate mail does not pass SPF.",
    remediation="Keep one of the two modifiers.",
    reference="RFC 7208 §6",
    hides_others=True,
    is_syntax=True,
)
SENDER_ID = FindingType(
    code="spf.sender_id_record",
    severity=Severity.INFO,
    summary="SPF: obsolete Sender ID record (spf2.0), which receivers ignore",
    observed="{subject} has the TXT record {records}.",
    why="The record has no effect, and may be mistaken for an SPF record.",
    remediation="Remove the record.",
    note="Sender ID was an experiment that has ended.",
    reference="RFC 6686 §6",
)
TOO_MANY = FindingType(
    code="spf.too_many_lookups",
    severity=Severity.CRITICAL,
    summary="SPF needs more than 10 DNS lookups, so it fails",
    observed="The SPF record of {subject} causes {lookups} DNS lookups. Receivers stop after "
    "{limit}.",
    why="Receivers may stop with permerror after ten lookups, so legitimate mail does not pass "
    "SPF.",
    remediation="Remove services that no longer send, or replace an include with the addresses "
    "behind it.",
    note="The finding names the most expensive includes.",
    reference="RFC 7208 §4.6.4",
)
NEAR = FindingType(
    code="spf.near_lookup_limit",
    severity=Severity.LOW,
    summary="SPF is close to the limit of 10 DNS lookups",
    observed="The SPF record of {subject} causes {lookups} DNS lookups. Receivers stop after "
    "{limit}.",
    why="One more include, in your record or at a provider, may exceed the limit and make every "
    "check fail.",
    remediation="Remove terms that are no longer used.",
    note="The record needs eight to ten lookups.",
    reference="RFC 7208 §4.6.4",
)
VOIDS = FindingType(
    code="spf.too_many_void_lookups",
    severity=Severity.MEDIUM,
    summary="SPF: more than two lookups return nothing, so checks may fail (permerror)",
    observed="{void_lookups} lookups of the SPF record of {subject} return nothing: {empty}. At "
    "most two are allowed.",
    why="Receivers may stop with permerror after two lookups without a result, so legitimate "
    "mail does not pass SPF.",
    remediation="Remove the terms whose names no longer exist.",
    note="The result stays `valid`, because each receiver may set this limit.",
    reference="RFC 7208 §4.6.4",
)
MX_MANY = FindingType(
    code="spf.mx_too_many_addresses",
    severity=Severity.MEDIUM,
    summary="SPF: an mx term finds more than 10 hosts or addresses, so checks fail (permerror)",
    observed="An `mx` term of the SPF record leads to {subject}, with {hosts} mail servers. At "
    "most 10 mail servers, with 10 addresses each, are allowed.",
    why="Receivers stop with permerror at this term, so legitimate mail does not pass SPF.",
    remediation="List the addresses of the hosts that send instead of using `mx`.",
    note="RFC 7208 allows at most ten hosts, and ten addresses of each host.",
    reference="RFC 7208 §4.6.4",
    verdict=Verdict.FAIL,
)
NOT_FOUND = FindingType(
    code="spf.include_not_found",
    severity=Severity.CRITICAL,
    summary="SPF include points to a domain that does not exist, so checks fail (permerror)",
    observed="The SPF record of {in} has the term {term}. DNS answers that {subject} does not "
    "exist.",
    why="Mail that no earlier term allows does not pass SPF, even if it is legitimate.",
    remediation="Remove the term, or correct the name.",
    reference="RFC 7208 §5.2",
)
NO_RECORD = FindingType(
    code="spf.include_missing_record",
    severity=Severity.CRITICAL,
    summary="SPF include points to a domain without SPF, so checks fail (permerror)",
    observed="The SPF record of {in} has the term {term}. No TXT record of {subject} starts with "
    "`v=spf1`.",
    why="Mail that no earlier term allows does not pass SPF, even if it is legitimate.",
    remediation="Remove the term, or ask the service for the correct name.",
    note="The name exists but has no SPF record.",
    reference="RFC 7208 §5.2",
)
BAD_INCLUDE = FindingType(
    code="spf.include_invalid",
    severity=Severity.CRITICAL,
    summary="SPF include points to an invalid record, so checks fail (permerror)",
    observed="The SPF record of {in} has the term {term}. The SPF record of {subject} is "
    "{records}, which is not valid.",
    why="Mail that no earlier term allows does not pass SPF, even if it is legitimate.",
    remediation="Ask the service to correct its record; until then, remove the term if none of "
    "your mail needs it.",
    note="The record there has errors, or there is more than one.",
    reference="RFC 7208 §5.2",
)
INCLUDE_LOOP = FindingType(
    code="spf.include_loop",
    severity=Severity.CRITICAL,
    summary="SPF: includes form a loop, so checks fail (permerror)",
    observed="The terms `include` lead back to a domain that was already evaluated: {path:path}.",
    why="Receivers follow the loop until they reach their limit, and mail that no earlier term "
    "allows does not pass SPF.",
    remediation="Remove the include that closes the loop.",
    reference="RFC 7208 §5.2",
)
REDIRECT_LOOP = FindingType(
    code="spf.redirect_loop",
    severity=Severity.CRITICAL,
    summary="SPF: redirects form a loop, so checks fail (permerror)",
    observed="The modifiers `redirect` lead back to a domain that was already evaluated: "
    "{path:path}.",
    why="Receivers follow the loop until they reach their limit, and mail that no earlier term "
    "allows does not pass SPF.",
    remediation="End the chain of redirects with a record that has `all`.",
    reference="RFC 7208 §6.1",
)
TAKEOVER = FindingType(
    code="spf.include_takeover_risk",
    severity=Severity.CRITICAL,
    summary="SPF include points to an unregistered domain (takeover risk)",
    observed="The SPF record of {in} has the term {term}, and {domain} is not registered.",
    why="Anyone who registers the domain can send mail as yours that passes SPF.",
    remediation="Remove the term immediately.",
    reference="RFC 7208 §11.2",
)
EXP_PROBLEM = FindingType(
    code="spf.exp_problem",
    severity=Severity.LOW,
    summary="SPF: the explanation for rejected mail (exp) cannot be used",
    observed="The term {term} leads to {subject}: {reason:text}.",
    why="Senders of rejected mail get a generic message instead of your explanation.",
    remediation="Correct the text that `exp` points to, or remove `exp`.",
    note="The name in `exp=` has no text, several texts, or one that is not a valid macro string "
    "in ASCII.",
    reference="RFC 7208 §6.2",
)
NOT_LOCKED = FindingType(
    code="spf.not_locked_down",
    severity=Severity.MEDIUM,
    summary="SPF: domain sends no email, but its record still allows senders",
    observed="The domain is set to {usage:text}, and the SPF record of {subject} is {record}.",
    why="The addresses that the record allows can send mail as the domain that passes SPF.",
    remediation="Publish `v=spf1 -all`.",
    note="The domain use says that it sends nothing.",
    reference="RFC 7208 §10.1.2",
)
CNAME_CONFLICT = cname_conflict.finding_type(
    "spf", "SPF", reader="receivers", severity=Severity.HIGH
)

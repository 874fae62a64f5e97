"""The elements of aggregate reports, by all spellings of their names (RFC 9990 §A)."""

import re
from collections.abc import Iterator

NAMESPACES = ("urn:ietf:params:xml:ns:dmarc-2.0", "http://dmarc.org/dmarc-xml/0.1")

_NAMESPACE = re.compile(
    r"(?:https?://)?(?:www\.)?dmarc\.org/dmarc-xml/[0-9.]{0,9}/?"
    r"|urn:ietf:params:xml:ns:dmarc-[0-9.]{1,9}/?",
    re.IGNORECASE,
)


def is_dmarc_namespace(namespace: str) -> bool:
    """Whether this is a namespace of aggregate reports, in any version and spelling."""
    return bool(_NAMESPACE.fullmatch(namespace.strip()))


class Node(dict[str, "Node"]):
    """A known element and its known child elements.

    key     the key of its text; "" if it has no text
    closes  the unit that is complete at its end tag; "" if none
    """

    __slots__ = ("closes", "key", "plain")

    def __init__(self, key: str = "", closes: str = "") -> None:
        super().__init__()
        self.key, self.closes = key, closes
        self.plain: dict[str, Node] = {}

    def add(self, name: str, node: "Node") -> "Node":
        """Add a child element, in each of the namespaces."""
        self[name] = self.plain[name] = node
        for namespace in NAMESPACES:
            self[f"{namespace} {name}"] = node
        return node

    def __missing__(self, name: str) -> "Node":
        """The child with this name in upper case or in a variant of a namespace, or UNKNOWN."""
        namespace, _, local = name.rpartition(" ")
        if namespace and not is_dmarc_namespace(namespace):
            return UNKNOWN
        return self.plain.get(local.lower(), UNKNOWN)

    def leaves(self, *names: str, prefix: str = "") -> "Node":
        """Add child elements with text, whose keys have the prefix."""
        for name in names:
            self.add(name, Node(key=f"{prefix}{name}"))
        return self


def _schema() -> Node:
    feedback = Node()
    feedback.add("version", Node(closes="version"))
    about = feedback.add("report_metadata", Node(closes="head"))
    about.leaves("org_name", "email", "extra_contact_info", "report_id", "generator")
    about.add("error", Node(closes="error"))  # may be repeated (RFC 7489 §C)
    about.add("date_range", Node()).leaves("begin", "end")
    policy = feedback.add("policy_published", Node(closes="head"))
    policy.leaves("domain", "p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing")
    policy.leaves("discovery_method")
    record = feedback.add("record", Node(closes="record"))
    row = record.add("row", Node()).leaves("source_ip", "count")
    evaluated = row.add("policy_evaluated", Node()).leaves("disposition", "dkim", "spf")
    evaluated.add("reason", Node(closes="reason")).leaves("type", "comment")
    identifiers = record.add("identifiers", Node())
    identifiers.leaves("header_from", "envelope_from", "envelope_to")
    record.add("identities", identifiers)  # the name in an early draft
    results = record.add("auth_results", Node(closes="auth_results"))
    results.add("dkim", Node(closes="dkim")).leaves("domain", "selector", "result", prefix="raw_")
    results.add("spf", Node(closes="spf")).leaves("domain", "scope", "result", prefix="raw_")
    return feedback


def _names(node: Node) -> Iterator[bytes]:
    for name, child in node.plain.items():
        yield name.encode()
        yield from _names(child)


UNKNOWN = Node()
FEEDBACK, DOCUMENT = _schema(), Node()
NAMES = frozenset(_names(FEEDBACK))  # of all known elements
REASON = FEEDBACK["record"]["row"]["policy_evaluated"]["reason"]

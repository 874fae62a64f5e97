"""Draft records are compared with today's DNS, and applied to the stored reports."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.api.v1.plans.schemas import MAX_TEXT
from app.models.keys import Scope
from app.protocols.report_formats.aggregate import Record, SpfResult
from tests.support.api_client import Client, make_client
from tests.support.factories import make_domain
from tests.support.stored_reports import DAY, Report, record, store
from tests.support.zones import SERVFAIL, Zone, ZoneNetwork

PATH = "/v1/domains/acme.test/plan"
PUBLISHED: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.host.test", "ns2.host.test"],
    ("ns1.host.test", "A"): ["192.0.2.53"],
    ("ns2.host.test", "A"): ["198.51.100.53"],
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["192.0.2.1"],
    "acme.test": ["v=spf1 ip4:192.0.2.1 ip4:198.51.100.7 -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=none; rua=mailto:dmarc@acme.test"],
}
ZONE = """$TTL 300
@ MX 10 mx
mx A 192.0.2.1
@ TXT "v=spf1 ip4:192.0.2.1 ip4:198.51.100.7 -all"
_dmarc TXT "v=DMARC1; p=none; rua=mailto:dmarc@acme.test"
"""
SAME = {"zoneFile": ZONE}


@pytest.fixture
def client(client: Client) -> Client:
    make_domain(client.account_id, "acme.test")
    publish(client, PUBLISHED)
    return client


def publish(client: Client, records: dict[Any, Any]) -> None:
    client.app.extensions["network"] = ZoneNetwork(Zone(records))


def plan(client: Client, **body: Any) -> Any:
    return client.data("POST", PATH, json=body)


def change(action: str, name: str, rdtype: str, *values: str) -> dict[str, Any]:
    return {"action": action, "name": name, "type": rdtype, "values": list(values)}


def details(client: Client, **body: Any) -> list[tuple[str, str]]:
    response = client("POST", PATH, json=body)
    assert response.status_code == 400, response.text
    return [(item["field"], item["message"]) for item in response.json["error"]["details"]]


def checks(result: Any) -> dict[str, str]:
    return {check["check"]: check["effect"] for check in result["checks"]}


def test_published_zone_changes_nothing(client: Client) -> None:
    result = plan(client, **SAME)
    assert (result["domainName"], result["effect"]) == ("acme.test", "unchanged")
    assert result["worstSeverity"] is None
    assert result["dnsChanges"] == []
    assert set(checks(result).values()) == {"unchanged"}
    assert len(checks(result)) == 13


def test_lost_record_is_worse_in_each_way_to_send_a_draft(client: Client) -> None:
    mx = "{type: MX, value: {preference: 10, exchange: mx.acme.test.}}"
    removal = [
        change("remove", "acme.test", "TXT"),
        change("remove", "_dmarc.acme.test.", "txt", PUBLISHED["_dmarc.acme.test"][0]),
    ]
    for body in (
        {"zoneFile": "@ MX 10 mx\nmx A 192.0.2.1\n"},
        {"octodns": f"mx: {{type: A, value: 192.0.2.1}}\n'': {mx}"},
        {"records": removal},
    ):
        result = plan(client, **body)
        effects = checks(result)
        assert (effects["spf"], effects["dmarc"], effects["mx"]) == ("worse", "worse", "unchanged")
        [finding] = [
            finding
            for check in result["checks"]
            for finding in check["findings"]
            if finding["code"] == "dmarc.missing"
        ]
        assert finding["effect"] == "worse"
        assert (finding["severityBefore"], finding["severityAfter"]) == (None, finding["severity"])
        assert finding["summary"]
        assert finding["docsUrl"].endswith("#dmarc.missing")
        changes = {(item["name"], item["type"]): item for item in result["dnsChanges"]}
        assert changes["_dmarc.acme.test", "TXT"]["after"] == []
        assert changes["_dmarc.acme.test", "TXT"]["before"] == PUBLISHED["_dmarc.acme.test"]


def test_corrected_record_is_better(client: Client) -> None:
    publish(client, {**PUBLISHED, "acme.test": ["v=spf1 +all"]})
    result = plan(client, records=[change("replace", "acme.test", "TXT", "v=spf1 mx -all")])
    assert (result["effect"], checks(result)["spf"]) == ("better", "better")


@pytest.mark.parametrize(
    ("records", "check"),
    [
        ([change("replace", "mx.acme.test", "A", "127.0.0.1")], "mx"),
        ([change("replace", "acme.test", "MX", "10 gone.acme.test.")], "mx"),
        ([change("replace", "acme.test", "NS", "gone.acme.test.")], "dns"),
        ([change("add", "acme.test", "TXT", "v=spf1 -all")], "spf"),
        ([change("add", "_dmarc.acme.test", "CNAME", "x.acme.test.")], "dmarc"),
        ([change("add", "_mta-sts.acme.test", "TXT", "v=STSv1")], "mta_sts"),
        ([change("add", "_smtp._tls.acme.test", "TXT", "v=TLSRPTv1;")], "tls_rpt"),
        ([change("add", "default._bimi.acme.test", "TXT", "v=BIMI1; l=http://x.test/l")], "bimi"),
        ([change("add", "default._domainkey.acme.test", "TXT", "v=DKIM1; p=x")], "dkim"),
        ([change("add", "_25._tcp.mx.acme.test", "TLSA", "3 1 1 abcd")], "dane"),
        ([change("add", "acme.test", "CAA", '128 unknown "x"')], "caa"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0]["type"],
)
def test_mistake_in_each_type_of_record_is_worse(
    client: Client, records: list[Any], check: str
) -> None:
    result = plan(client, records=records)
    assert (result["effect"], checks(result)[check]) == ("worse", "worse"), result["checks"]
    assert result["worstSeverity"] in ("critical", "high", "medium", "low")


def test_check_that_is_undetermined_is_never_better(client: Client) -> None:
    publish(client, {**PUBLISHED, "_dmarc.acme.test": SERVFAIL})
    for body in (
        SAME,
        {"records": [change("replace", "_dmarc.acme.test", "TXT", "v=DMARC1; p=reject")]},
    ):
        result = plan(client, **body)
        [dmarc] = [check for check in result["checks"] if check["check"] == "dmarc"]
        assert (dmarc["effect"], dmarc["after"]) == ("undetermined", "undetermined")
        assert "servfail" in dmarc["reason"]
        assert result["effect"] == "undetermined"
        assert result["email"]["policy"] is None


# Errors


def test_errors_name_the_field_and_the_line(client: Client) -> None:
    assert details(client, zoneFile="a A 192.0.2.1\nb A x\n$INCLUDE y\n") == [
        ("zoneFile", "line 2: 'x' is not an IPv4 address"),
        ("zoneFile", "line 3: $INCLUDE is not supported: insert the records of the file"),
    ]
    assert details(client, zoneFile="www.other.test. A 192.0.2.1") == [
        ("zoneFile", "line 1: www.other.test is not in acme.test. Remove the record")
    ]
    assert details(client, octodns="a:\n  type: A\n  value: x\n") == [
        ("octodns", "line 3: 'x' is not an IPv4 address")
    ]


@pytest.mark.parametrize(
    ("record", "field", "part"),
    [
        (change("add", "other.test", "A", "192.0.2.1"), "records[0].name", "not in acme.test"),
        (change("add", "acme.test", "FOO", "x"), "records[0].type", "unknown record type"),
        (change("add", "acme.test", "A", "192.0.2.1", "x"), "records[0].values[1]", "IPv4"),
        (change("add", "acme.test", "A"), "records[0].values", "at least one value"),
        (change("add", "*.acme.test", "A", "192.0.2.1"), "records[0]", "a wildcard"),
        (change("remove", "acme.test", "TXT", "x"), "records[0]", "no such record is published"),
        (change("move", "acme.test", "TXT", "x"), "records[0].action", "should be"),
        ({**change("add", "acme.test", "TXT", "x"), "ttl": -1}, "records[0].ttl", "greater"),
        ({**change("add", "acme.test", "TXT", "x"), "x": 1}, "records[0].x", "unknown parameter"),
    ],
)
def test_error_in_a_change_names_its_field(
    client: Client, record: dict[str, Any], field: str, part: str
) -> None:
    [(named, message)] = details(client, records=[record])
    assert named == field
    assert part in message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"zoneFile": "a A 192.0.2.1", "octodns": "a: {type: A, value: 192.0.2.1}"},
        {"records": []},
        {"records": [change("add", "acme.test", "TXT", "x")] * 101},
        {"zoneFile": ""},
        {"zoneFile": "a" * (MAX_TEXT + 1)},
        {"zoneFile": "a TXT \0"},
        {"octodns": "a: &a [*a, *a]"},
    ],
)
def test_draft_that_is_missing_or_too_large_is_refused(client: Client, body: Any) -> None:
    assert details(client, **body)


def test_domain_of_another_account_is_not_found(client: Client, stranger: Client) -> None:
    assert stranger("POST", PATH, json=SAME).status_code == 404
    assert stranger("POST", "/v1/domains/none.test/plan", json=SAME).status_code == 404


# Email


def add_mail(client: Client, *rows: Record) -> None:
    domain = make_domain(client.account_id, "mail.test")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    store(domain, Report(rows=list(rows), begin=today - 2 * DAY))
    publish(
        client,
        {
            **PUBLISHED,
            "mail.test": PUBLISHED["acme.test"],
            "_dmarc.mail.test": PUBLISHED["_dmarc.acme.test"],
            ("mail.test", "NS"): PUBLISHED["acme.test", "NS"],
        },
    )


def sent(address: str, count: int, **fields: Any) -> Record:
    values = {
        "header_from": "mail.test",
        "spf": True,
        "dkim": False,
        "disposition": "none",
        "spf_results": (SpfResult("mail.test", "mfrom", "pass"),),
    }
    return record(address, count, **{**values, **fields})


def email(client: Client, **records: str) -> Any:
    changes = [
        change("replace", f"{prefix}mail.test", "TXT", text)
        for prefix, text in (("", records.get("spf")), ("_dmarc.", records.get("dmarc")))
        if text
    ]
    return client.data("POST", "/v1/domains/mail.test/plan", json={"records": changes})["email"]


def test_senders_that_would_lose_spf_are_named(client: Client) -> None:
    add_mail(
        client,
        sent("192.0.2.1", 100),
        sent("198.51.100.7", 40),
        sent("203.0.113.9", 7, spf=False, spf_results=()),
    )
    effect = email(client, spf="v=spf1 ip4:192.0.2.1 -all")
    [loss] = effect["spfLosses"]
    assert (loss["messages"], loss["uncertain"]) == (40, 0)
    assert loss["addresses"] == [{"address": "198.51.100.7", "messages": 40}]
    assert loss["classification"]
    assert (effect["messages"], effect["days"], effect["reporters"]) == (147, 1, 1)
    assert effect["policy"]["affectedBefore"] == effect["policy"]["affectedAfter"] == 0


def test_policy_is_applied_to_the_stored_reports(client: Client) -> None:
    add_mail(
        client,
        sent("192.0.2.1", 100),
        sent("198.51.100.7", 40),
        sent("203.0.113.9", 7, spf=False, spf_results=()),
    )
    policy = email(client, dmarc="v=DMARC1; p=reject")["policy"]
    assert (policy["before"]["p"], policy["after"]["p"]) == ("none", "reject")
    assert (policy["affectedBefore"], policy["affectedAfter"]) == (0, 7)
    [source] = policy["sources"]
    assert (source["affectedBefore"], source["affectedAfter"]) == (0, 7)
    both = email(client, dmarc="v=DMARC1; p=reject", spf="v=spf1 ip4:192.0.2.1 -all")
    assert both["policy"]["affectedAfter"] == 47


@pytest.mark.parametrize(
    ("spf", "lost", "uncertain"),
    [
        ("v=spf1 +all", 0, 0),
        ("v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ~all", 0, 0),
        ("v=spf1 -all", 140, 0),
        ("v=spf1 exists:%{i}.mail.test -all", 0, 140),
        ("v=spf1 ip4:192.0.2.1 ip4:198.51.100.7 foo:bar -all", 140, 0),
    ],
)
def test_messages_that_lose_spf_are_counted(
    client: Client, spf: str, lost: int, uncertain: int
) -> None:
    add_mail(client, sent("192.0.2.1", 100), sent("198.51.100.7", 40))
    losses = email(client, spf=spf)["spfLosses"]
    assert sum(loss["messages"] for loss in losses) == lost
    assert sum(loss["uncertain"] for loss in losses) == uncertain


def test_email_needs_the_scope_of_reports(client: Client) -> None:
    reader = make_client(client.app, client.account_id, (Scope.DOMAINS_READ,))
    assert plan(reader, **SAME)["email"] is None
    assert plan(client, **SAME)["email"]["messages"] == 0
    other = make_client(client.app, client.account_id, (Scope.REPORTS_READ,))
    assert other("POST", PATH, json=SAME).status_code == 403


def test_plan_stores_nothing(client: Client) -> None:
    before = client.data("GET", "/v1/domains/acme.test/dns")
    plan(client, records=[change("remove", "acme.test", "TXT")])
    assert client.data("GET", "/v1/domains/acme.test/dns") == before
    assert client.data("GET", "/v1/scans") == []
    assert client.data("GET", "/v1/alerts") == []

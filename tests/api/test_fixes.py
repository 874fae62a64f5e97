"""The fixes of a domain in the formats of DNS tools."""

from app import ids
from app.models.keys import Scope
from app.services.scans import runner
from tests.support.api_client import Client, make_client
from tests.support.zones import Data, Zone, ZoneNetwork

PATH = "/v1/domains/acme.test/fixes"
RECORDS: Data = {
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["192.0.2.1"],
    "acme.test": ["v=spf1 mx -all", "v=spf1 -all", "other=1"],
}


def test_fixes_of_the_last_scan_are_listed_in_all_formats(client: Client) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    assert client.data("GET", PATH) == []
    client.data("POST", "/v1/domains/acme.test/scans", 202)
    [scan] = client.data("GET", "/v1/scans")
    scan_id = ids.parse("scan", scan["id"])
    assert scan_id is not None
    runner.run([scan_id], ZoneNetwork(Zone(RECORDS)))
    fixes = {fix["code"]: fix for fix in client.data("GET", PATH)}
    spf = fixes["spf.multiple_records"]
    status = client.data("GET", "/v1/domains/acme.test/dns")
    stored = [
        finding["fix"]
        for check in status["checks"]
        for finding in check["findings"]
        if finding["code"] == "spf.multiple_records"
    ]
    assert [spf["fix"]] == stored
    assert spf["check"] == "spf"
    formats = spf["formats"]
    assert formats["nsupdate"].count("update delete acme.test. TXT") == 2
    assert "other=1" in formats["octodns"]  # the other records of the set are kept
    assert "other=1" in formats["terraformRoute53"]
    assert "other=1" not in formats["zoneFile"]


def test_fixes_need_the_scope_of_domains(client: Client) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    caller = make_client(client.app, client.account_id, (Scope.REPORTS_READ,))
    assert caller("GET", PATH).status_code == 403

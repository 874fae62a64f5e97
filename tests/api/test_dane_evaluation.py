"""A certificate is compared with the TLSA records before it is installed."""

from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from app.ports.dns import Tlsa
from app.protocols.transport import certificates
from tests.support.api_client import Client
from tests.support.zones import SERVFAIL, TIMEOUT, Data, Zone, ZoneNetwork

PATH = "/v1/domains/acme.test/dane/evaluate"
CA = trustme.CA().create_child_ca()
NEW = CA.issue_cert("mx.acme.test")
LEAF, ISSUER = (blob.bytes().decode() for blob in NEW.cert_chain_pems[:2])
OTHER = trustme.CA().cert_pem.bytes().decode()


def tlsa(usage: int, pem: str, matching: int = 1, selector: int = 1) -> Tlsa:
    [certificate] = certificates.load_pem(pem)
    return Tlsa(
        usage=usage,
        selector=selector,
        matching=matching,
        data=certificate.association_data(selector, matching),
    )


def publish(client: Client, *records: Tlsa, is_signed: bool = True, **data: Any) -> None:
    zone: Data = {
        ("acme.test", "MX"): ["10 mx.acme.test"],
        ("mx.acme.test", "A"): ["192.0.2.1"],
        ("_25._tcp.mx.acme.test", "TLSA"): list(records),
        **{("acme.test", rdtype): value for rdtype, value in data.items()},
    }
    client.app.extensions["network"] = ZoneNetwork(Zone(zone, authenticated=is_signed))


@pytest.fixture
def client(client: Client) -> Client:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    return client


def evaluate(client: Client, pem: str = LEAF) -> Any:
    return client.data("POST", PATH, json={"certificate": pem})


def test_matching_record_is_named_and_delivery_continues(client: Client) -> None:
    publish(client, tlsa(3, OTHER), tlsa(3, LEAF))
    evaluation = evaluate(client)
    assert evaluation["breaksDelivery"] is False
    [host] = evaluation["hosts"]
    assert (host["host"], host["result"]) == ("mx.acme.test", "match")
    assert [record["matches"] for record in host["records"]] == [False, True]


def test_certificate_without_a_record_breaks_delivery(client: Client) -> None:
    publish(client, tlsa(3, OTHER), tlsa(3, ISSUER))
    evaluation = evaluate(client)
    assert evaluation["breaksDelivery"] is True
    assert evaluation["hosts"][0]["result"] == "mismatch"


@pytest.mark.parametrize(
    ("pem", "result", "breaks"),
    [(LEAF, "undetermined", None), (LEAF + ISSUER, "match", False), (OTHER, "mismatch", True)],
)
def test_record_of_a_ca_needs_the_chain(
    client: Client, pem: str, result: str, breaks: bool | None
) -> None:
    publish(client, tlsa(2, ISSUER))
    evaluation = evaluate(client, pem)
    assert (evaluation["hosts"][0]["result"], evaluation["breaksDelivery"]) == (result, breaks)
    assert bool(evaluation["hosts"][0]["reason"]) is (pem != LEAF + ISSUER)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (LEAF + OTHER, None),  # a CA that did not issue the certificate
        (CA.issue_cert("mx.other.test").cert_chain_pems[0].bytes().decode() + ISSUER, "is not for"),
        (
            CA.issue_cert("mx.acme.test", not_after=datetime(2020, 1, 1, tzinfo=UTC))
            .cert_chain_pems[0]
            .bytes()
            .decode()
            + ISSUER,
            "is expired",
        ),
    ],
)
def test_record_of_a_ca_needs_a_certificate_that_senders_accept(
    client: Client, pem: str, reason: str | None
) -> None:
    publish(client, tlsa(2, OTHER if reason is None else ISSUER))
    [host] = evaluate(client, pem)["hosts"]
    assert (host["result"], host["breaksDelivery"]) == ("mismatch", True)
    assert (host["reason"] is None) if reason is None else (reason in host["reason"])


def test_records_that_senders_ignore_do_not_break_delivery(client: Client) -> None:
    publish(client, tlsa(3, OTHER), is_signed=False)
    [host] = evaluate(client)["hosts"]
    assert (host["result"], host["breaksDelivery"], host["records"][0]["usable"]) == (
        None,
        False,
        False,
    )
    publish(client, tlsa(1, OTHER))
    assert evaluate(client)["hosts"][0]["result"] is None


def test_domain_without_mail_hosts_has_none_to_compare(client: Client) -> None:
    publish(client, MX=["0 ."])
    assert evaluate(client) == {"breaksDelivery": False, "hosts": []}


@pytest.mark.parametrize("failure", [TIMEOUT, SERVFAIL])
def test_failed_lookup_of_the_mail_hosts_is_503(client: Client, failure: Any) -> None:
    publish(client, MX=failure)
    response = client("POST", PATH, json={"certificate": LEAF})
    assert response.status_code == 503


@pytest.mark.parametrize(
    "text",
    ["", "certificate", LEAF[:200], "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----"],
)
def test_text_that_is_no_certificate_is_refused(client: Client, text: str) -> None:
    response = client("POST", PATH, json={"certificate": text})
    assert response.status_code == 400
    assert response.json["error"]["details"][0]["field"] == "certificate"


def test_size_and_number_of_certificates_are_limited(client: Client) -> None:
    for text in (LEAF * 11, LEAF + "x" * 65_536):
        assert client("POST", PATH, json={"certificate": text}).status_code == 400


@pytest.mark.usefixtures("client")
def test_domain_of_another_account_is_404(stranger: Client) -> None:
    assert stranger("POST", PATH, json={"certificate": LEAF}).status_code == 404

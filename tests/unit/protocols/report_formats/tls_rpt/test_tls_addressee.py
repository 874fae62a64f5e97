import pytest

from app.protocols.report_formats.tls_rpt import tls_addressee


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tls-report-domain", "Shop.Example"),
        ("tls-report-domain", "<shop.example>"),
        ("subject", "Report Domain: shop.example Submitter: rx.example Report-ID: <1>"),
        ("subject", "Fwd: Report Domain: shop.example; Submitter: rx.example"),
        ("subject", "=?utf-8?q?Report_Domain=3A_shop=2Eexample_Submitter=3A_rx=2Eexample?="),
    ],
)
def test_header_names_the_domain(name: str, value: str) -> None:
    header = f"From: a@rx.example\n{name}: {value}\n".encode()
    assert tls_addressee.domains(header) == ("shop.example",)


@pytest.mark.parametrize(
    "name",
    [
        "rx.example!shop.example!1767225600!1767311999.json.gz",
        "/tmp/rx.example!shop.example!1767225600!1767311999!001.json",
    ],
)
def test_file_name_names_the_domain(name: str) -> None:
    assert tls_addressee.domains(b"", ("report.json", name)) == ("shop.example",)


@pytest.mark.parametrize("name", ["", "report.json", "a!b", "a!shop.example!x!y.json", "!!!!"])
def test_other_file_names_name_no_domain(name: str) -> None:
    assert tls_addressee.domains(b"Subject: Report domain of the day\n", (name,)) == ()


def test_header_comes_before_the_file_name() -> None:
    header = b"Subject: Report Domain: b.example\nTLS-Report-Domain: a.example\n"
    names = ("rx.example!c.example!1!2.json",)
    assert tls_addressee.domains(header, names) == ("a.example", "b.example", "c.example")

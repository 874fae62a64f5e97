import pytest

from app.protocols.mail import author

SERVERS = ("mx.monitoring.test",)
SIGNED = "v=1; a=rsa-sha256; d=reporter.test; s=s1; h=from:to; bh=x; b=y"


def header(*lines: str) -> list[tuple[str, str]]:
    return author.fields(("\r\n".join(lines) + "\r\n\r\nFrom: body@x.test").encode())


@pytest.mark.parametrize(
    ("lines", "domain"),
    [
        (["From: a@Reporter.test"], "reporter.test"),
        (['From: "b@evil.test" <a@reporter.test>'], "reporter.test"),
        (["From: Reports (b@evil.test) <a@reporter.test>"], "reporter.test"),
        (["From:", " <a@reporter.test>"], "reporter.test"),
        (["From: a@reporter.test, b@evil.test"], None),
        (["From: a@reporter.test", "From: b@evil.test"], None),
        (["From: username"], None),
        (["To: a@reporter.test"], None),
    ],
)
def test_author_is_the_only_address_in_the_only_from_field(
    lines: list[str], domain: str | None
) -> None:
    assert author.author_domain(header(*lines)) == domain


@pytest.mark.parametrize(
    ("name", "other", "is_aligned"),
    [
        ("reporter.test", "reporter.test", True),
        ("mail.reporter.test", "reporter.test", True),
        ("a.reporter.test", "b.reporter.test", True),
        ("reporter.test", "evil.test", False),
        ("a.co.uk", "b.co.uk", False),
        ("co.uk", "a.co.uk", False),
    ],
)
def test_names_of_one_organization_are_aligned(name: str, other: str, is_aligned: bool) -> None:
    assert author.is_aligned(name, other) is is_aligned


@pytest.mark.parametrize(
    ("fields", "is_vouched_for"),
    [
        (["mx.monitoring.test; dkim=pass header.d=reporter.test"], True),
        (["MX.monitoring.test 1; dkim=pass (good key) header.d=mail.reporter.test"], True),
        (
            ["mx.monitoring.test; spf=none; dmarc=pass header.from=reporter.test"],
            True,
        ),
        (["mx.monitoring.test; dkim=fail header.d=reporter.test"], False),
        (["mx.monitoring.test; dkim=pass header.d=evil.test"], False),
        (["mx.monitoring.test; dmarc=pass header.from=evil.test"], False),
        (["mx.monitoring.test; spf=pass smtp.mailfrom=a@reporter.test"], False),
        (["mx.monitoring.test; none"], False),
        (["mx.evil.test; dkim=pass header.d=reporter.test"], False),
        (["dkim=pass header.d=reporter.test"], False),
        (["mx.monitoring.test; x=y (; dkim=pass header.d=reporter.test)"], False),
        (
            [
                "mx.monitoring.test; dkim=fail header.d=reporter.test",
                "mx.monitoring.test; dkim=pass header.d=reporter.test",
            ],
            False,
        ),
        (
            [
                "mx.evil.test; dkim=none",
                "mx.monitoring.test; dkim=pass header.d=reporter.test",
            ],
            False,
        ),
        ([], False),
    ],
)
def test_only_topmost_result_of_trusted_server_counts(
    fields: list[str], is_vouched_for: bool
) -> None:
    lines = [f"Authentication-Results: {field}" for field in fields]
    mail_header = header(*lines, "From: a@reporter.test")
    assert author.is_vouched_for(mail_header, SERVERS, "reporter.test") is is_vouched_for
    assert not author.is_vouched_for(mail_header, (), "reporter.test")


@pytest.mark.parametrize(
    ("signature", "count"),
    [
        (SIGNED, 1),
        (SIGNED.replace("d=reporter", "d=mail.reporter"), 1),
        (SIGNED.replace("d=reporter", "d=evil"), 0),
        (SIGNED + "; l=100", 0),
        (SIGNED + "; d=reporter.test", 0),
        (SIGNED.replace("from:to", "to"), 0),
        (SIGNED.replace("from:to", "from" + ":a" * 1_000), 0),
        (SIGNED.replace("s=s1", "s=a b"), 0),
        ("x", 0),
    ],
)
def test_only_signatures_that_could_authenticate_author_are_used(
    signature: str, count: int
) -> None:
    fields = header(f"DKIM-Signature: {signature}", "From: a@reporter.test")
    assert len(author.signatures(fields, "reporter.test")) == count


def test_number_of_signatures_is_limited() -> None:
    fields = header(*[f"DKIM-Signature: {SIGNED}"] * 50)
    assert [s.index for s in author.signatures(fields, "reporter.test")] == [0, 1, 2, 3, 4]
    assert author.signatures(header(*[f"DKIM-Signature: {SIGNED}"] * 2_000), "a.test") == ()

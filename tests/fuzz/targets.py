"""All parsers of untrusted input, which may raise only their own errors."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from app.network.dns import wire
from app.protocols import bimi, dkim, dmarc, names, spf, tags, uris
from app.protocols.bimi import logo, logotypes, mark_certificates
from app.protocols.report_formats import aggregate, failure, failure_text
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.limits import ReportRejected
from app.protocols.report_formats.tls_rpt import tls, tls_addressee
from app.protocols.spf import macros
from app.protocols.transport import mta_sts, tls_rpt
from app.protocols.zone_files import (
    InvalidData,
    InvalidRecords,
    master_files,
    octodns,
    single_values,
)
from tests.support.logotypes import logotype
from tests.support.mark_certificates import CERTIFIED
from tests.support.paths import DATA


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    errors     exceptions that it may raise; anything else is a defect
    seeds      initial inputs
    fragments  pieces of its syntax to combine
    """

    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    fragments: tuple[bytes, ...]

    def run(self, data: bytes) -> None:
        """Parse the data.

        raises  any exception that the parser must not raise
        """
        with suppress(*self.errors):
            self.parse(data)


def _of_text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """The parser with text that is decoded from bytes like a TXT record."""
    return lambda data: parse(data.decode("utf-8", "backslashreplace"))


def _strings(node: Any) -> Iterator[str]:
    """Every string in a parsed YAML document."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def _vectors() -> Iterator[str]:
    for path in (DATA / "mail" / "records.yaml", *sorted((DATA / "spf").glob("*.yml"))):
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            yield from _strings(document)


def _responses() -> Iterator[bytes]:
    """Responses of several kinds to queries of this service."""
    for name, rdtype in (("a.test", 16), ("_25._tcp.mx.a.test", 52), ("a.test", 15)):
        query = wire.query_for(name, rdtype).message
        header = query[:2] + b"\x81\xa0\0\1\0\1\0\0\0\1"
        question, opt = query[12:-11], query[-11:]
        rdata = b"\0\x0a\xc0\x0c" if rdtype == 15 else b"\x03\1\1abcdef" * 4
        record = b"\xc0\x0c" + rdtype.to_bytes(2) + b"\0\1\0\0\1\x2c" + len(rdata).to_bytes(2)
        yield header + question + record + rdata + opt
        yield query[:2] + b"\x81\x83\0\1\0\0\0\0\0\1" + question + opt


_ALL = tuple(dict.fromkeys(_vectors()))


def _seeds(pattern: str, *more: str) -> tuple[bytes, ...]:
    fitting = [text for text in _ALL if re.match(pattern, text, re.IGNORECASE)]
    return tuple(text.encode("utf-8", "surrogatepass") for text in (*fitting[:300], *more))


def _pieces(words: str) -> tuple[bytes, ...]:
    """The words, and fragments that are hostile in any syntax."""
    common = (
        "\0",
        "\u212a",
        "\u00df",
        "\u3002",
        "xn--",
        "\u202e",
        "\\xff",
        "%",
        "\ud7ff",
        "x" * 300,
    )
    every = (*words.split(" "), " ", "\t", *common)
    return (*(word.encode() for word in every), b"\xff")


_NOW = 1_795_600_000  # later than all reports in the collection
_REPORTS = DATA / "reports"


def _files(pattern: str) -> tuple[bytes, ...]:
    """The small files of the report collection."""
    contents = (path.read_bytes() for path in sorted(_REPORTS.glob(pattern)))
    return tuple(content for content in contents if len(content) < 6_000)


def _failure(data: bytes) -> object:
    feedback, _, original = data.partition(b"\n\n")
    return failure.redact(failure.parse(feedback, original, _NOW), b"key")


def _text(
    parse: Callable[[str], object], errors: tuple[type[Exception], ...], seeds: Any, words: str
) -> Target:
    return Target(parse=_of_text(parse), errors=errors, seeds=seeds, fragments=_pieces(words))


_LOGO = b"""<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" version="1.2"
 baseProfile="tiny-ps" viewBox="0 0 10 10"><title>a</title><path d="M0 0"/></svg>"""
_POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: *.a.test\r\nmax_age: 86400\r\n"
_TAGS = "v= ; = ; p= a= n= h= k= s= t= : , ! rua= mailto: @ a.test https:// none reject 100 0"

_ZONES = (
    b"$ORIGIN a.test.\n$TTL 1h\n@ IN SOA ns a.b ( 1 2\n 3 4 5 ) ; note\n  MX 10 mx\n",
    b'a 5 TXT "b\\"c" "d;e" \\195\\188\n* CNAME @\n_25._tcp.mx TLSA 3 1 1 ab cd\n',
)
_ZONE_WORDS = (
    '@ * . .. a a.test. IN CH A AAAA MX TXT CAA TLSA SOA NS CNAME DNAME SRV 0 10 65536 ( ) ; " \\'
    " \\0 \\256 \\# $ \n \n\t 192.0.2.1 ::1 ab v=spf1 _dmarc xn--a"
)

TARGETS: Mapping[str, Target] = {
    "names.parse": _text(
        names.parse,
        (names.NotADomain,),
        _seeds(r"[\w-]+(\.[\w-]+)+\.?$", "b\u00fccher.example", "xn--bcher-kva.example"),
        ". .. - -- _ a.b xn-- co.uk test 1.2.3.4 :: [::1] https:// @",
    ),
    "tags.split": _text(tags.split, (), _seeds("v="), _TAGS),
    "dmarc.parse_record": _text(
        dmarc.parse_record,
        (dmarc.NotDmarc,),
        _seeds(r"\s*v=dmarc1"),
        f"v=DMARC1; {_TAGS} sp= np= pct= psd= ri= fo= adkim= aspf= ruf= y u !10m",
    ),
    "spf.parse_record": _text(
        spf.parse_record,
        (spf.NotSpf, spf.BadRecord),
        _seeds("v=spf1"),
        "v=spf1 + - ~ ? all include: redirect= exp= a mx ptr exists: ip4: ip6: / // 32 128 ::1 "
        "192.0.2.1 %{ } i l d r - %_ %% a.test",
    ),
    "spf_macros.parse": _text(
        macros.parse,
        (macros.BadMacro,),
        _seeds(".*%", "%{ir}.%{v}._spf.%{d2}", "%{s1r+-}", "%{L99999999999999999999}"),
        "% %% %_ %- %{ } s l o d i p v h c r t S 1 0 99999999999999 r . - + , / _ =",
    ),
    "dkim.parse_record": _text(
        dkim.parse_record,
        (dkim.NotDkim, dkim.Unusable),
        _seeds(r"\s*(v=dkim1|k=|p=)", "v=DKIM1; k=ed25519; p=" + "A" * 43 + "="),
        f"v=DKIM1; {_TAGS} k=rsa k=ed25519 sha256 MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A == MIGf AgMB",
    ),
    "mta_sts.parse_record": _text(
        mta_sts.parse_record,
        (mta_sts.NotMtaSts, mta_sts.MtaStsUnusable),
        _seeds("v=stsv1;", "v=STSv1; id=20260101;"),
        f"v=STSv1; id= {_TAGS}",
    ),
    "mta_sts.parse_policy": Target(
        parse=mta_sts.parse_policy,
        errors=(mta_sts.BadPolicy,),
        seeds=(_POLICY, *_seeds("version:")),
        fragments=_pieces(
            "version: mode: mx: max_age: STSv1 enforce testing \r\n \n \r *. 604800 -1 ٣"
        ),
    ),
    "tlsrpt.parse_record": _text(
        tls_rpt.parse_record,
        (tls_rpt.NotTlsRpt, tls_rpt.TlsRptUnusable),
        _seeds("v=tlsrptv1"),
        f"v=TLSRPTv1; {_TAGS}",
    ),
    "bimi.parse_record": _text(
        bimi.parse_record,
        (bimi.NotBimi, bimi.Unusable),
        _seeds("v=bimi1", "v=BIMI1; l=https://a.test/l.svg; a=https://a.test/v.pem"),
        f"v=BIMI1; l= a= avp= {_TAGS} .svg",
    ),
    "logotypes.parse": Target(
        parse=logotypes.parse,
        errors=(logotypes.LogotypeUnreadable,),
        seeds=(logotype(b"<svg/>"), logotype(b"<svg/>", b"https://a.test/l.svg")),
        fragments=(
            *(bytes((octet,)) for octet in range(0, 256, 5)),
            b"\x30",
            b"\xa2",
            b"\xa0",
            b"\x16",
            b"data:;base64,",
            b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01",
        ),
    ),
    "mark_certificates.parse": Target(
        parse=mark_certificates.parse,
        errors=(mark_certificates.CertificateUnreadable,),
        seeds=(CERTIFIED.body, CERTIFIED.body[:200]),
        fragments=_pieces(
            "-----BEGIN CERTIFICATE----- -----END CERTIFICATE----- \n MII BgUr AwQw A= =="
        ),
    ),
    "bimi_logo.problems": Target(
        parse=logo.problems,
        errors=(),
        seeds=(_LOGO, b"\x1f\x8b\x08\0\0\0\0\0", b"<!DOCTYPE svg []><svg/>"),
        fragments=(
            *_pieces(
                "<svg </svg> <!DOCTYPE <?xml ?> <![CDATA[ xmlns= href= style= /> &amp; &#0; &x;"
            ),
            *_pieces('encoding="utf-16" encoding="cp037" encoding="x" viewBox="0 nan inf 1e999 "'),
            *(b"\x1f\x8b\x08", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"),
        ),
    ),
    "dmarc_report.parse": Target(
        parse=lambda data: aggregate.parse(data, _NOW),
        errors=(ReportRejected,),
        seeds=_files("dmarc/*.xml"),
        fragments=(
            *_pieces("<record> </record> <row> <count> </count> <a> </a> <!DOCTYPE <!-- --> ]]>"),
            *_pieces('<![CDATA[ &amp; &#0; &x; <?a ?> xmlns="urn:x" encoding="utf-16" -1 1e9'),
            *(b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xee\x80\x801", b"<x:a/>"),
        ),
    ),
    "tls_report.parse": Target(
        parse=lambda data: tls.parse(data, _NOW),
        errors=(ReportRejected,),
        seeds=_files("tlsrpt/*.json"),
        fragments=_pieces(
            '{ } [ ] , : "policies" null true NaN 1e999 -1 "\\ud800" "a":1 9999999999999999999'
        ),
    ),
    "failure_report.parse": Target(
        parse=_failure,
        errors=(ReportRejected,),
        seeds=tuple(
            member.document + b"\n\n" + member.original
            for raw in _files("ruf/*.eml")
            for member in unwrap.unwrap(raw)
        ),
        fragments=_pieces(
            "Feedback-Type: auth-failure \n \r\n Source-IP: Arrival-Date: Incidents: @ a@a.test"
            " =?utf-8?q?=40?= =?x?b?A?= From: Subject: 99999999999999999999 +9999 Fri,"
        ),
    ),
    "failure_text.read": Target(
        parse=failure_text.read,
        errors=(),
        seeds=(
            b"A message claiming to be from you has failed\n\n Sender Domain: a.test\n"
            b"  Sender IP Address: 192.0.2.1\n  SPF Alignment: no\n\n"
            b"---- This is a copy of the headers before the error was detected.\n\nFrom: a\n",
            b"This is a spf/dkim authentication-failure report for an email message received"
            b" from IP 192.0.2.1 on Fri, 2 Jan 2026 00:00:00 +0000.\n\nFrom: a@a.test\n",
        ),
        fragments=_pieces(
            "> \n \r\n : Received: This is a copy of the headers detected. from IP on"
        ),
    ),
    "tls_addressee.domains": Target(
        parse=lambda data: tls_addressee.domains(data, (data.decode("latin-1"),)),
        errors=(),
        seeds=(
            b"Subject: Report Domain: a.test Submitter: b.test\nTLS-Report-Domain: a.test",
            b"b.test!a.test!1767225600!1767311999!1.json.gz",
        ),
        fragments=_pieces("! !1 . Report Domain: =?utf-8?q?=40?= \n < > a.test"),
    ),
    "envelopes.unwrap": Target(
        parse=unwrap.unwrap,
        errors=(ReportRejected,),
        seeds=_files("*/*.*"),
        fragments=(
            *_pieces("--b --b-- \n \r\n Content-Type: multipart/mixed; boundary=b message/rfc822"),
            *_pieces(
                "message/feedback-report Content-Transfer-Encoding: base64 quoted-printable ="
            ),
            *(b"\x1f\x8b\x08", b"PK\3\4", b"PK\1\2", b"PK\5\6", b"\xff" * 4, b"<feedback>", b"{"),
        ),
    ),
    "master_files.parse": _text(
        lambda text: master_files.parse(text, "a.test"),
        (InvalidRecords,),
        _ZONES,
        f"{_ZONE_WORDS} $ORIGIN $TTL $INCLUDE $GENERATE 1h2m",
    ),
    "master_files.parse_changes": _text(
        lambda text: master_files.parse_changes(text, "a.test"),
        (InvalidRecords,),
        (*_ZONES, b"+ a TXT b\n- c MX\n"),
        f"{_ZONE_WORDS} + - +a",
    ),
    "octodns.parse": _text(
        lambda text: octodns.parse(text, "a.test"),
        (InvalidRecords,),
        (b"a: {type: A, ttl: 5, value: 192.0.2.1}\n'': [{type: TXT, values: ['a\\;b', c]}]\n",),
        "a: '': type: ttl: value: values: A MX TXT CAA { } [ ] - , : ? | > & * ! % # --- ... \n"
        " preference: exchange: mx. ~ null << 'a \"a &a *a !!binary",
    ),
    "single_values.parse": _text(
        lambda text: single_values.parse(text.partition(" ")[0], text.partition(" ")[2]),
        (InvalidData,),
        (b"MX 10 mx.a.test.", b'CAA 0 issue "a b"', b"TLSA 3 1 1 ab", b"SOA a b 1 2 3 4 5"),
        _ZONE_WORDS,
    ),
    "uris.parse": _text(
        uris.parse,
        (ValueError,),
        _seeds(r"(mailto|https?):", "mailto:a@a.test", "https://[::1]:99999/"),
        "mailto: https:// http:// @ [ ] :: :99999 %00 %2e ? # / a.test [v1.x] ( )",
    ),
    "wire.parse_response": Target(
        parse=wire.parse_response,
        errors=(wire.Malformed,),
        seeds=tuple(_responses()),
        fragments=(
            *(b"\xc0\x0c", b"\xc0\0", b"\0", b"\xff\xff", b"\x81\x80", b"\0\1\0\1", b"\x3f" * 64),
            *(b"\0\x06\0\1\0\0\1\x2c\0\4", b"\0\x02\0\1", b"\1\x01\0\1", b"\0\x29", b"a" * 9),
        ),
    ),
}


def shown(data: bytes) -> str:
    """The input as a literal for a test."""
    return json.dumps(data.decode("latin-1")) + '.encode("latin-1")'

"""Report files that would cost much or deceive: rejected with a reason, or read with a warning."""

import base64
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping

from app.protocols.report_formats.limits import KIB, MIB

RECORD = (
    b"<record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated>"
    b"<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>"
    b"<identifiers><header_from>shop.example</header_from></identifiers><auth_results/></record>"
)
TLS = (
    b'{"organization-name":"a","report-id":"1","date-range":{"start-datetime":'
    b'"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},"policies":[{"policy":'
    b'{"policy-type":"sts","policy-domain":"shop.example"},"summary":'
    b'{"total-successful-session-count":1,"total-failure-session-count":0}}]}'
)


def xml(
    records: bytes = RECORD, *, begin: bytes = b"", about: bytes = b"", policy: bytes = b""
) -> bytes:
    """A report with this beginning and these parts."""
    return (
        begin + b"<feedback><report_metadata><org_name>a</org_name><email>a@a.example</email>"
        b"<report_id>1</report_id><date_range><begin>1767225600</begin><end>1767311999</end>"
        b"</date_range>" + about + b"</report_metadata><policy_published>"
        b"<domain>shop.example</domain><p>none</p>"
        + policy
        + b"</policy_published>"
        + records
        + b"</feedback>"
    )


def zipped(
    *contents: bytes,
    method: int = 8,
    flags: int = 0,
    attributes: int = 0,
    claimed: int | None = None,
    shared: bool = False,
) -> bytes:
    """A zip of the contents; ``shared`` has all entries of the directory point to the first."""
    body, directory = bytearray(), bytearray()
    first: tuple[int, bytes, int] | None = None
    for number, content in enumerate(contents):
        data = _deflated(content) if method == 8 else content
        crc, name = zlib.crc32(content), b"r%d.xml" % number
        size = len(content) if claimed is None else claimed
        if not (shared and first):
            first = (len(body), data, crc)
            fields = (20, flags, method, 0, 0, crc, len(data), size, len(name), 0)
            body += struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + name + data
        offset, data, crc = first
        listed = (3 << 8, 20, flags, method, 0, 0, crc, len(data), size, len(name), *(0,) * 4)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", *listed, attributes, offset) + name
        first = first if shared else None
    count = len(contents)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)


def mail(body: bytes, media_type: bytes = b"text/xml") -> bytes:
    """A mail of one part."""
    return b"From: a@a.example\r\nContent-Type: " + media_type + b"\r\n\r\n" + body


def nested_mail(depth: int) -> bytes:
    """A mail of multiparts in multiparts."""
    parts = [
        b'Content-Type: multipart/mixed; boundary="b%05d"\n\n--b%05d\n' % (level, level)
        for level in range(depth)
    ]
    return b"From: a@a.example\n" + b"".join(parts) + b"Content-Type: text/xml\n\n" + xml()


def tarred(*contents: bytes) -> bytes:
    """A tar archive of the contents, in a folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        folder = tarfile.TarInfo("reports")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number, content in enumerate(contents):
            entry = tarfile.TarInfo(f"reports/r{number}.xml")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def _five_times(pack: Callable[[bytes], bytes]) -> bytes:
    content = xml()
    for _ in range(5):
        content = pack(content)
    return content


def _encoded_mails() -> bytes:
    raw = mail(xml())
    for _ in range(21):
        header = (
            b"From: a@a.example\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64"
        )
        raw = header + b"\n\n" + base64.encodebytes(raw)
    return raw


def _deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(content) + deflater.flush()


def _many_parts(count: int) -> bytes:
    return mail(b"--b\n\nx\n" * count + b"--b--", b"multipart/mixed; boundary=b")


def _deep_xml() -> bytes:
    return xml(about=b"<a>" * 40 + b"</a>" * 40)


def _attributes(count: int) -> bytes:
    names = b" ".join(b'a%d=""' % number for number in range(count))
    return xml(about=b"<a " + names + b"/>")


_ENTITY = b'<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
_SUBSET = b"<!DOCTYPE feedback [" + _ENTITY + b"]>"
_EXTERNAL = b'<!DOCTYPE feedback SYSTEM "file:///etc/passwd">'

HOSTILE: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "gzip bomb": (lambda: gzip.compress(xml() + b" " * (40 * MIB), 9), "ratio"),
    "gzip in gzip five times": (lambda: _five_times(gzip.compress), "nested"),
    "gzip bomb in a gzip": (
        lambda: gzip.compress(gzip.compress(xml() + b" " * (90 * MIB), 9), 9),
        "ratio",
    ),
    "gzip of many members": (lambda: gzip.compress(b"") * 5_000 + xml(), "too_many_members"),
    "gzip cut off": (lambda: gzip.compress(xml())[:-12], "damaged"),
    "gzip with a second member cut off": (
        lambda: gzip.compress(xml()) + gzip.compress(xml())[:-12],
        "damaged",
    ),
    "bzip2 bomb": (lambda: bz2.compress(xml() + b" " * (40 * MIB)), "ratio"),
    "bzip2 cut off": (lambda: bz2.compress(xml())[:-12], "damaged"),
    "xz bomb": (lambda: lzma.compress(xml() + b" " * (40 * MIB)), "ratio"),
    "xz cut off": (lambda: lzma.compress(xml())[:-12], "damaged"),
    "xz that needs much memory": (
        lambda: lzma.compress(xml(), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 512 * MIB}]),
        "damaged",
    ),
    "zlib bomb": (lambda: zlib.compress(xml() + b" " * (40 * MIB), 9), "ratio"),
    "tar cut off": (lambda: tarred(xml())[:900], "damaged"),
    "tar of many entries": (lambda: tarred(*[b""] * 5_000), "too_many_members"),
    "tar of many files": (lambda: tarred(*[b""] * 1_001), "too_many_members"),
    "zip bomb": (lambda: zipped(xml() + b" " * (40 * MIB)), "ratio"),
    "zip bomb that says it is small": (
        lambda: zipped(xml() + b" " * (40 * MIB), claimed=100),
        "ratio",
    ),
    "zip of overlapping entries": (
        lambda: zipped(*[xml() + b" " * MIB] * 10, shared=True),
        "damaged",
    ),
    "zip in zip five times": (lambda: _five_times(zipped), "nested"),
    "zip bomb in a zip": (lambda: zipped(zipped(xml() + b" " * (40 * MIB))), "ratio"),
    "zips of many files in a zip": (
        lambda: zipped(*[zipped(*[b"<a/>"] * 900)] * 900),
        "too_many_members",
    ),
    "zip that is encrypted": (lambda: zipped(xml(), flags=1), "encrypted"),
    "zip of a symbolic link": (
        lambda: zipped(b"/etc/passwd", method=0, attributes=0o120777 << 16),
        "symlink",
    ),
    "zip of many files": (lambda: zipped(*[b""] * 1_001), "too_many_members"),
    "zip with a long directory": (lambda: zipped(*[b""] * 60_000), "too_many_members"),
    "zip of nothing": (lambda: zipped(), "no_report"),
    "zip without a directory": (lambda: zipped(xml())[:-22], "damaged"),
    "zip compressed otherwise": (lambda: zipped(xml(), method=12), "damaged"),
    "mail nested deep": (lambda: nested_mail(30), "too_deep"),
    "mail nested very deep": (lambda: nested_mail(20_000), "too_deep"),
    "mails in mails": (
        lambda: b"Content-Type: message/rfc822\n\n" * 10_000 + mail(xml()),
        "too_deep",
    ),
    "mail of many parts": (lambda: _many_parts(10_001), "too_many_parts"),
    "mail of very many parts": (lambda: _many_parts(1_000_000), "too_many_parts"),
    "mail of lines like boundaries": (
        lambda: mail(b"--bx" * 1_000_000, b"multipart/mixed; boundary=b"),
        "too_many_parts",
    ),
    "mail of headers": (lambda: b"A: b\n" * 5 * MIB + b"\n" + xml(), "too_large"),
    "mail of one long header": (lambda: b"A: " + b"b" * 20 * MIB, "too_large"),
    "mails in base64 in mails": (_encoded_mails, "too_deep"),
    "mbox of many mails": (
        lambda: (b"From a@a.example\n" + mail(b"a") + b"\n\n") * 1_001,
        "too_many_messages",
    ),
    "digest of many mails": (
        lambda: mail(
            b"--b\n\n" + (mail(b"hello") + b"\n--b\n\n") * 1_001,
            b"multipart/digest; boundary=b",
        ),
        "too_many_messages",
    ),
    "mail without a report": (lambda: mail(b"hello", b"text/plain"), "no_report"),
    "text": (lambda: b"hello", "not_a_report"),
    "nothing": (lambda: b"", "empty"),
    "DOCTYPE with entities": (lambda: xml(begin=_SUBSET, about=b"<a>&b;</a>"), "doctype"),
    "DOCTYPE in UTF-16": (
        lambda: b"\xff\xfe" + xml(begin=_SUBSET).decode().encode("utf-16-le"),
        "doctype",
    ),
    "XML that is deep": (_deep_xml, "too_deep"),
    "XML that is very deep": (lambda: xml(about=b"<a>" * 5 * MIB), "too_deep"),
    "element of many attributes": (lambda: _attributes(65), "too_many_attributes"),
    "root of many attributes": (
        lambda: (
            _attributes(65)
            .replace(b"<a ", b"<b ")
            .replace(
                b"<feedback>",
                b"<feedback " + b" ".join(b'a%d=""' % number for number in range(65)) + b">",
            )
        ),
        "too_many_attributes",
    ),
    "long attribute": (
        lambda: xml(about=b'<a b="' + b"x" * 18 * MIB + b'"/>'),
        "token_too_long",
    ),
    "long attribute of tag ends": (
        lambda: xml(about=b'<a b="' + b">" * 18 * MIB + b'"/>'),
        "token_too_long",
    ),
    "long field of a record": (
        lambda: xml(RECORD.replace(b"shop.example", b"a." * 600 + b"example")),
        "field_too_long",
    ),
    "many small elements": (lambda: xml(b"<a/>" * MIB), "too_many_elements"),
    "count that is negative": (lambda: xml(RECORD.replace(b">1<", b">-1<")), "bad_number"),
    "count in other digits": (
        lambda: xml(RECORD.replace(b">1<", ">\u0661<".encode())),
        "bad_number",
    ),
    "count with an underscore": (lambda: xml(RECORD.replace(b">1<", b">1_0<")), "bad_number"),
    "count that is huge": (lambda: xml(RECORD.replace(b">1<", b">%d<" % 2**63)), "bad_number"),
    "count of many digits": (
        lambda: xml(RECORD.replace(b">1<", b">" + b"9" * 1000 + b"<")),
        "bad_number",
    ),
    "two counts": (
        lambda: xml(RECORD.replace(b"<count>", b"<count>2</count><count>")),
        "repeated_element",
    ),
    "two rows": (
        lambda: xml(RECORD.replace(b"<row>", b"<row><count>2</count></row><row>")),
        "repeated_element",
    ),
    "count with an element in it": (
        lambda: xml(RECORD.replace(b">1<", b">1<a/>0<")),
        "bad_value",
    ),
    "address as a number": (
        lambda: xml(RECORD.replace(b"192.0.2.1", b"3221225985")),
        "bad_source_ip",
    ),
    "records in another namespace": (
        lambda: xml(RECORD.replace(b"<record>", b'<record xmlns="urn:x">')),
        "unknown_namespace",
    ),
    "other XML": (lambda: b"<rss><channel/></rss>", "not_a_report"),
    "a web page": (lambda: b"<html><body/></html>", "html"),
    "a report of the future": (lambda: xml().replace(b"1767311999", b"1897311999"), "bad_dates"),
    "a report of a year": (lambda: xml().replace(b"1767225600", b"1735689600"), "bad_dates"),
    "JSON that is deep": (
        lambda: TLS[:-1] + b',"a":' + b"[" * 70 + b"]" * 70 + b"}",
        "too_deep",
    ),
    "JSON that is very deep": (lambda: TLS[:-1] + b',"a":' + b"[" * 200_000, "too_deep"),
    "JSON of many values": (lambda: TLS[:-1] + b',"a":[' + b"[]," * 5 * MIB + b"]}", "too_large"),
    "JSON with a name twice": (lambda: TLS[:-1] + b',"report-id":"2"}', "repeated_element"),
    "JSON with NaN": (lambda: TLS.replace(b'count":1', b'count":NaN'), "bad_number"),
    "JSON with a huge number": (
        lambda: TLS.replace(b'count":1', b'count":' + b"9" * MIB),
        "bad_number",
    ),
    "JSON with a fraction": (lambda: TLS.replace(b'count":1', b'count":1.5'), "bad_number"),
    "JSON that says true": (lambda: TLS.replace(b'count":1', b'count":true'), "bad_number"),
    "JSON that is no report": (lambda: b"[]", "bad_value"),
    "JSON with policies that are an object": (
        lambda: TLS.replace(b'"policies":[', b'"policies":{"a":[').replace(b"}}]}", b"}}]}}"),
        "bad_value",
    ),
    "JSON that is cut off": (lambda: TLS[:-20], "not_well_formed"),
    "two JSON documents": (lambda: TLS + b"\n" + TLS, "not_well_formed"),
    "JSON of quotes": (lambda: TLS[:-1] + b',"a":' + b'"\\' * 5 * MIB, "not_well_formed"),
}

# Report files that are read completely, each with its warning.
HARMLESS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "DOCTYPE of a file": (lambda: xml(begin=_EXTERNAL), "text_around_report"),
    "DOCTYPE alone": (lambda: xml(begin=b"<!DOCTYPE feedback>"), "text_around_report"),
    "undeclared entity": (lambda: xml(about=b"<a>&b;</a>"), "markup_in_text"),
    "long comment": (lambda: xml(about=b"<!--" + b"<" * 18 * MIB + b"-->"), "not_well_formed"),
    "long instruction": (lambda: xml(about=b"<?a " + b"<" * MIB + b"?>"), "not_well_formed"),
    "long field": (lambda: xml(policy=b"<fo>" + b"0" * 1025 + b"</fo>"), "text_truncated"),
    "long text with comments": (
        lambda: xml(policy=b"<fo>" + (b"x" * 60 * KIB + b"<!---->") * 100 + b"</fo>"),
        "text_truncated",
    ),
    "address with a zone": (
        lambda: xml(RECORD.replace(b"192.0.2.1", b"fe80::1%eth0")),
        "source_ip_format",
    ),
    "another namespace": (
        lambda: xml().replace(b"<feedback>", b'<feedback xmlns="urn:x">'),
        "namespace_unknown",
    ),
    "an encoding of mainframes": (
        lambda: xml(begin=b'<?xml version="1.0" encoding="cp037"?>'),
        "encoding_unknown",
    ),
    "a codec that is no encoding": (
        lambda: xml(begin=b'<?xml version="1.0" encoding="rot13"?>'),
        "encoding_unknown",
    ),
    "octets that are no UTF-8": (
        lambda: xml(RECORD.replace(b"shop", b"sh\xf6p")),
        "not_utf8",
    ),
}

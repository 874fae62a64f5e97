"""Good reports in random archives, compressed files, emails and mbox files."""

import base64
import binascii
import bz2
import gzip
import io
import lzma
import quopri
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random

from tests.support.hostile_reports import tarred

_BASE64 = frozenset(base64.b64encode(bytes(range(256)) * 3) + b"+/\n")
MAX_ARCHIVES, MAX_MAILS = 4, 6
_COMPANIONS = (
    ("__MACOSX/._r.xml", b"\0\5\x16\7\0\2\0\0Mac OS X"),
    (".DS_Store", b"\0\0\0\1Bud1\0"),
    ("README.txt", b"These are the reports of November.\n"),
    ("logo.png", b"\x89PNG\r\n\x1a\n\0"),
    ("empty.xml", b""),
)

Wrap = Callable[[Random, Sequence[bytes]], bytes]


def wrapped(random: Random, reports: Sequence[bytes]) -> bytes:
    """A file with exactly these reports, nested at random."""
    contents, archives, mails = list(reports), 0, 0
    while len(contents) > 1 or (
        archives < MAX_ARCHIVES and mails < MAX_MAILS and random.random() < 0.75
    ):
        archive_wraps = [wrap for wrap in ARCHIVES if archives + layers(wrap) <= MAX_ARCHIVES]
        wrap = random.choice((*archive_wraps, *MAILS))
        archives, mails = archives + layers(wrap), mails + (wrap in MAILS)
        size = random.randint(1, len(contents)) if mails < MAX_MAILS else len(contents)
        if wrap in SINGLE:
            contents = [wrap(random, [content]) for content in contents]
        else:
            groups = [contents[i : i + size] for i in range(0, len(contents), size)]
            contents = [wrap(random, group) for group in groups]
    return contents[0]


def layers(wrap: Wrap) -> int:
    """How many archives or compressed files the wrapping is."""
    return 2 if wrap is _base64 else int(wrap in ARCHIVES)


def _gzip(random: Random, contents: Sequence[bytes]) -> bytes:
    """One or two members, and what may follow them."""
    content = contents[0]
    split = random.choice((len(content), random.randint(1, len(content))))
    members = [part for part in (content[:split], content[split:]) if part]
    trailing = random.choice((b"", b"", bytes(512), b"\r\n", b"trailing data"))
    return b"".join(gzip.compress(member) for member in members) + trailing


def _zip(random: Random, contents: Sequence[bytes]) -> bytes:
    raw = io.BytesIO()
    target = raw if random.random() < 0.5 else _Unseekable(raw)
    with zipfile.ZipFile(target, "w", random.choice((0, 8))) as archive:
        archive.writestr("reports/", b"")
        for number, content in enumerate(contents):
            name = f"reports/r{number}.{random.choice(('xml', 'txt', 'pdf'))}"
            with archive.open(name, "w", force_zip64=random.random() < 0.3) as file:
                file.write(content)
        for name, content in random.sample(_COMPANIONS, random.randint(0, 3)):
            archive.writestr(name, content)
        archive.comment = random.choice((b"", b"a comment"))
    return raw.getvalue()


class _Unseekable(io.RawIOBase):
    """A stream, so that a zip archive has data descriptors."""

    def __init__(self, raw: io.BytesIO) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._raw.write(data)  # type: ignore[arg-type]

    def flush(self) -> None:
        """Nothing is buffered."""


def _base64(random: Random, contents: Sequence[bytes]) -> bytes:
    text = base64.encodebytes(gzip.compress(contents[0]))
    return text if random.random() < 0.5 else text.replace(b"\n", b"")


def _tar(_: Random, contents: Sequence[bytes]) -> bytes:
    return tarred(*contents)


def _mbox(random: Random, contents: Sequence[bytes]) -> bytes:
    """As mboxrd, with one of two newlines; each message has its reports as attachments."""
    messages = [_mail(random, [content], newlines=(b"\n",)) for content in contents]
    line = b"From a@a.example Fri Nov 27 06:00:00 2026\n"
    return b"\n".join(line + _quoted(message) + b"\n" for message in messages)


def _quoted(message: bytes) -> bytes:
    lines = message.split(b"\n")
    return b"\n".join(
        b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines
    )


def _mail(
    random: Random,
    contents: Sequence[bytes],
    newlines: Sequence[bytes] = (b"\n", b"\r\n", b"\r", b"\r\r\n"),
) -> bytes:
    """A mail with attachments, or forwarded mails, in one of the ways that programs do it."""
    boundary = b"=_%08x" % random.getrandbits(32)
    text = [b"Content-Type: text/plain; charset=x-unknown", b"", b"A report: see below.", b""]
    lines = [
        *random.choice(([], [b""] * (len(newlines) > 1), [b"X-Odd:"])),
        *(b"From: dmarc@rx.example", b"Subject: Report Domain: shop.example", b"MIME-Version: 1.0"),
        *(*_boundary_field(random, boundary), b"", b"preamble", b"--" + boundary, *text),
    ]
    for content in contents:
        lines += [b"--" + boundary, *_part(random, content)]
    lines += random.choice(([], [b"--" + boundary + b"--"], [b"--" + boundary + b"--", b"footer"]))
    raw = b"\n".join(lines)
    is_text = raw.isascii() and b"\r" not in raw
    newline = random.choice(newlines) if is_text else b"\n"
    mark = b"\xef\xbb\xbf" if len(newlines) > 1 and random.random() < 0.2 else b""
    return mark + raw.replace(b"\n", newline)


def _boundary_field(random: Random, boundary: bytes) -> list[bytes]:
    half = len(boundary) // 2
    return random.choice(
        (
            [b'Content-Type: multipart/mixed; boundary="' + boundary + b'"'],
            [b"Content-Type: multipart/mixed;", b'\tboundary="' + boundary + b'"'],
            [b"Content-Type: multipart/mixed;", b'boundary="' + boundary + b'"'],
            [b"Content-Type: Multipart/Mixed (a comment); Boundary=" + boundary],
            [b"Content-Type: multipart/mixed; boundary*=us-ascii''" + boundary],
            [
                b'Content-Type: multipart/mixed; boundary*0="' + boundary[:half] + b'";',
                b' boundary*1="' + boundary[half:] + b'"',
            ],
            [b"Content-Type: multipart/mixed"],
            [],
        )
    )


def _part(random: Random, content: bytes) -> list[bytes]:
    """The part in a true or false type and transfer encoding."""
    is_mail = b"\nSubject: " in content[:200].replace(b"\r", b"\n")
    types = [b"application/octet-stream; name=r.pdf", b"APPLICATION/GZIP; name*=utf-8''r.xml"]
    types += [b"message/rfc822"] * 4 if is_mail else [b"image/png"]
    kind = b"Content-Type: " + random.choice(types)
    is_text = content.isascii() and not set(content) & set(b"\r\0") and len(content) < 20_000
    encoding = random.choice(("base64", "uu", *(("qp", "none") if is_text else ())))
    field = b"Content-Transfer-Encoding: "
    if encoding == "base64":
        body = base64.encodebytes(content)
        if is_mail or not set(content[:60]) - _BASE64:
            return [kind, field + b"base64", b"", body]
        odd = (b"7bit", b"base64 (see RFC 2045)", b"BASE64", b"x-unknown", b"quoted-printable")
        encodings = [[field + random.choice(odd)], []]
        return [kind, *random.choice(encodings), b"", body.rstrip(b"=\n")]
    if encoding == "qp":
        return [kind, field + b"quoted-printable", b"", quopri.encodestring(content)]
    if encoding == "uu":
        chunks = [content[i : i + 45] for i in range(0, len(content), 45)]
        body = b"".join(binascii.b2a_uu(chunk) for chunk in chunks)
        return [kind, field + b"x-uuencode", b"", b"begin 644 r.xml\n" + body + b"`\nend"]
    return [kind, random.choice((field + b"7bit", field + b"base64")), b"", content]


ARCHIVES: tuple[Wrap, ...] = (
    *(_gzip, _zip, _tar, _base64),
    lambda _, contents: zlib.compress(contents[0]),
    lambda _, contents: bz2.compress(contents[0]),
    lambda _, contents: lzma.compress(contents[0]),
)
MAILS: tuple[Wrap, ...] = (_mail, _mbox)
SINGLE: tuple[Wrap, ...] = tuple(wrap for wrap in ARCHIVES if wrap not in (_zip, _tar))

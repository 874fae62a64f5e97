"""What a file is that is no report, in words, and what to do about it."""

import re
from dataclasses import dataclass

from app.protocols.report_formats.limits import KIB, ReportRejected


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of files that are not read.

    code              the reason for the rejection; it never changes its meaning
    name              for people, with its article
    advice            what to do
    may_have_reports  a report may be in it, so that it is never ignored
    """

    code: str
    name: str
    advice: str = ""
    may_have_reports: bool = False

    def rejected(self, prefix: str = "The file is") -> ReportRejected:
        """Return the rejection of such a file."""
        text = f"{prefix} {self.name}"
        return ReportRejected(self.code, f"{text}. {self.advice}" if self.advice else text)


_UNPACK = "Unpack it, or send the reports as zip, gzip or tar.gz"
_REPORT_ONLY = "Send the report itself: XML, JSON, gzip, zip or the email with it"

EMPTY = FileType("empty", "empty", "Send the report again")
TNEF = FileType(
    "winmail_dat",
    "a winmail.dat attachment (TNEF), in which Outlook packs files, and which cannot be opened",
    "Forward the email as an attachment from another program, or ask the Exchange administrator to "
    "switch off rich text format for this recipient",
    may_have_reports=True,
)
SMIME = FileType(
    "smime",
    "an S/MIME message that is encrypted or signed as a whole, which cannot be opened",
    "Open it in an email program and upload the report that is attached to it",
    may_have_reports=True,
)
PGP = FileType(
    "pgp",
    "PGP data, which cannot be decrypted",
    "Decrypt it, and upload the report",
    may_have_reports=True,
)
PARSEDMARC = FileType(
    "parsedmarc_output",
    "output of parsedmarc that cannot be imported: only aggregate reports and the JSON of TLS "
    "reports can",
    "Import the emails that parsedmarc read, from the mailbox in which it archives them",
    may_have_reports=True,
)
OFFICE = FileType("office_document", "an Office document", _REPORT_ONLY)
DMARC_RECORD = FileType("dns_record", "a DNS record, not a report", _REPORT_ONLY)
TEXT = FileType("not_a_report", "text, not a report: neither XML nor JSON", _REPORT_ONLY)
UNKNOWN = FileType("not_a_report", "of an unknown type: neither XML nor JSON", _REPORT_ONLY)
CSV = FileType("csv", "a table (CSV), not a report", _REPORT_ONLY)
HTML = FileType(
    "html",
    "a web page (HTML), not a report",
    "If it was downloaded, the download may have ended at a sign-in page. " + _REPORT_ONLY,
)
CALENDAR = FileType("calendar", "a calendar entry (iCalendar), not a report", _REPORT_ONLY)


def _archive(code: str, name: str) -> FileType:
    return FileType(code, f"{name}, which cannot be opened", _UNPACK, may_have_reports=True)


def _image(name: str) -> FileType:
    return FileType("image", f"an image ({name}), not a report", _REPORT_ONLY)


_MAGIC = (
    (b"7z\xbc\xaf\x27\x1c", _archive("archive_7z", "a 7z archive")),
    (b"Rar!\x1a\x07", _archive("archive_rar", "a RAR archive")),
    (b"\x28\xb5\x2f\xfd", _archive("archive_zstd", "a file compressed with Zstandard")),
    (b"\x04\x22\x4d\x18", _archive("archive_lz4", "a file compressed with LZ4")),
    (b"LZIP", _archive("archive_lzip", "a file compressed with lzip")),
    (b"\x1f\x9d", _archive("archive_compress", "a file compressed with compress (.Z)")),
    (b"\x5d\x00\x00", _archive("archive_lzma", "a file compressed with LZMA")),
    (b"MSCF", _archive("archive_cab", "a cabinet archive (.cab)")),
    (b"!<arch>\n", _archive("archive_ar", "an ar archive")),
    (b"\x78\x9f\x3e\x22", TNEF),
    (
        b"!BDN",
        _archive("outlook_data", "an Outlook data file (.pst)"),
    ),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        FileType(
            "outlook_message",
            "an Outlook message (.msg) or an old Office document, which cannot be opened",
            "Save the email as .eml, or upload the report that is attached to it",
            may_have_reports=True,
        ),
    ),
    (b"%PDF-", FileType("pdf", "a PDF document, not a report", _REPORT_ONLY)),
    (b"{\\rtf", FileType("rtf", "a rich text document (RTF), not a report", _REPORT_ONLY)),
    (b"\x89PNG\r\n", _image("PNG")),
    (b"GIF8", _image("GIF")),
    (b"\xff\xd8\xff", _image("JPEG")),
    (b"BM", _image("BMP")),
    (b"II*\0", _image("TIFF")),
    (b"MM\0*", _image("TIFF")),
    (b"MZ", FileType("program", "a program, not a report", "Do not open it. " + _REPORT_ONLY)),
    (b"\x7fELF", FileType("program", "a program, not a report", "Do not open it. " + _REPORT_ONLY)),
    (b"SQLite format 3\0", FileType("database", "an SQLite database, not a report", _REPORT_ONLY)),
    (b"\0\0\0\1Bud1", FileType("folder_settings", "a folder file of macOS (.DS_Store)")),
    (b"\0\5\x16\7", FileType("folder_settings", "a file of macOS with attributes (AppleDouble)")),
    (b"\0\5\x16\0", FileType("folder_settings", "a file of macOS with attributes (AppleSingle)")),
)
_ANY_MAGIC = tuple(magic for magic, _ in _MAGIC)
_PATTERNS = (  # with the bytes that the content can begin with
    (b"R", re.compile(rb"RIFF....WEBP", re.DOTALL), _image("WebP")),
    (b"Bb", re.compile(rb"BEGIN:VCALENDAR", re.I), CALENDAR),
    (
        b"Bb",
        re.compile(rb"BEGIN:VCARD", re.I),
        FileType("contact", "a contact (vCard), not a report", _REPORT_ONLY),
    ),
    (b"-", re.compile(rb"-----BEGIN PGP MESSAGE"), PGP),
    (
        b"-",
        re.compile(rb"-----BEGIN PGP "),
        FileType("pgp_key", "a PGP key or signature, not a report", _REPORT_ONLY),
    ),
    (b"-", re.compile(rb"-----BEGIN (?:PKCS7|CMS)-----"), SMIME),
    (
        b"-",
        re.compile(rb"-----BEGIN [A-Z0-9 ]{1,40}-----"),
        FileType("key_or_certificate", "a key or a certificate, not a report", _REPORT_ONLY),
    ),
    (b'"Vv', re.compile(rb'"?v=(?:DMARC1|spf1|DKIM1|STSv1|TLSRPTv1)\b', re.I), DMARC_RECORD),
    (
        b"<",
        re.compile(
            rb"(?:<\?xml[^>]{0,200}>\s{0,100})?(?:<!--.{0,500}?-->\s{0,100})?"
            rb"<(?:!doctype\s{1,10}html|html|head|body|title|meta|script|div|table)[\s>]",
            re.IGNORECASE | re.DOTALL,
        ),
        HTML,
    ),
    (
        b"xofsp",
        re.compile(
            rb"organization_name,begin_date,end_date,|feedback_type,user_agent,"
            rb"|source_ip_address,|policy_domain,policy_type,"
        ),
        PARSEDMARC,
    ),
)
_PKCS7 = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
_SAMPLE = 4 * KIB


def is_evident(content: bytes) -> bool:
    """Whether the file begins like an aggregate report, so that no other type is considered."""
    begins_xml = content.startswith((b"<?xml", b"<feedback"))
    return begins_xml and content.find(b"<feedback", 0, _SAMPLE) >= 0


def identify(content: bytes) -> FileType | None:
    """The type of a file that is certainly no report; None for XML, JSON and unknown content."""
    sample = content[:_SAMPLE].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not sample:
        return None if content.strip(b"\0\r\n\t ") else EMPTY
    return None if is_evident(sample) else _identified(content, sample)


def _identified(content: bytes, sample: bytes) -> FileType | None:
    for magic, kind in _MAGIC if content.startswith(_ANY_MAGIC) else ():
        if content.startswith(magic):
            return kind
    for beginnings, pattern, kind in _PATTERNS:
        if sample[0] in beginnings and pattern.match(sample):
            return kind
    if sample[:1] == b"0" and _PKCS7 in content[:40]:
        return SMIME
    return None


def describe(content: bytes) -> FileType:
    """The type of any file that is no report."""
    kind = identify(content)
    if kind:
        return kind
    sample = content[:_SAMPLE]
    is_text = not re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", sample)
    if not is_text:
        return UNKNOWN
    first, _, second = sample.strip().partition(b"\n")
    is_table = any(
        first.count(separator) > 2
        and first.count(separator) == second.partition(b"\n")[0].count(separator)
        for separator in (b",", b";", b"\t")
    )
    return CSV if is_table else TEXT

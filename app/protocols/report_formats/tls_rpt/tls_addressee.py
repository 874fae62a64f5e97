"""The domain that a TLS report is about, as its mail and its file name say (RFC 8460 §5.1, §5.3).

A policy of type tlsa names an MX host, and one of type no-policy-found often names nothing.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from app.protocols.mail import encoded_words, mime
from app.protocols.report_formats.aggregate import values as values

MAX_DOMAINS, MAX_FILE_NAME, MAX_SUBJECT = 10, 1_000, 2_000

_SUBJECT = re.compile(r"\breport[ -]domain: ?<?([^\s<>,;]{1,253})", re.IGNORECASE)
_FILE_NAME = re.compile(r"(?<=[^!])!([^!]{1,253})![0-9]{1,15}![0-9]{1,15}(?:[!.]|\Z)")


def domains(header: bytes, file_names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The domains that the header of a mail and the names of its files name, most certain first."""
    texts = (*_of_header(header), *_of_names(file_names))
    hosts = (values.host(text.strip("<>\"' ")) for text in texts)
    return tuple(dict.fromkeys(host for host in hosts if host))[:MAX_DOMAINS]


@lru_cache(maxsize=4)  # a mail may have many reports
def _of_header(header: bytes) -> tuple[str, ...]:
    fields = mime.headers(header)
    names = [value for name, value in fields if name == "tls-report-domain"]
    subject = " ".join(encoded_words.decoded(mime.first(fields, "subject")[:MAX_SUBJECT]).split())
    match = _SUBJECT.search(subject)
    return (*names[:MAX_DOMAINS], match[1]) if match else tuple(names[:MAX_DOMAINS])


def _of_names(file_names: tuple[str, ...]) -> Iterator[str]:
    for name in file_names:
        if match := _FILE_NAME.search(name[:MAX_FILE_NAME]):
            yield match[1]

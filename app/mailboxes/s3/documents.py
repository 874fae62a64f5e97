"""The XML documents of Amazon S3 and compatible services: lists of objects and errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus
from xml.parsers import expat

MAX_DEPTH = 8


class InvalidDocument(ValueError):
    """The document is not one that the service should send."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a bucket; ``etag`` identifies its content."""

    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One page of a list of objects.

    token  requests the next page; None on the last one
    """

    objects: Sequence[StoredObject]
    token: str | None


@dataclass(frozen=True, slots=True)
class ServiceError:
    """What the service says about a request that it refused."""

    code: str
    message: str


Group = dict[str, str]


def read_list(document: bytes) -> ObjectList:
    """Read the response to ListObjectsV2.

    raises  InvalidDocument
    """
    values, groups = _read(document, "ListBucketResult", "Contents")
    is_encoded = values.get("EncodingType") == "url"
    objects = [_object(group, is_encoded) for group in groups]
    token = values.get("NextContinuationToken")
    if values.get("IsTruncated") != "true":
        token = None
    elif not token:
        raise InvalidDocument("a list that is not complete has no continuation token")
    return ObjectList(objects, token)


def read_error(document: bytes) -> ServiceError:
    """Read an error; both texts are empty if the document is something else."""
    try:
        values, _ = _read(document, "Error", "")
    except InvalidDocument:
        return ServiceError("", "")
    return ServiceError(values.get("Code", ""), values.get("Message", ""))


def is_error(document: bytes) -> bool:
    """Return whether the document is an error, which CopyObject may send with status 200."""
    return read_error(document).code != ""


def _object(group: Group, is_encoded: bool) -> StoredObject:
    key, size, etag = (group.get(name, "") for name in ("Key", "Size", "ETag"))
    if not (key and size.isascii() and size.isdigit() and len(size) < 20):
        raise InvalidDocument("an object has no key or no size")
    return StoredObject(unquote_plus(key) if is_encoded else key, int(size), etag)


class _Reader:
    """Collects the texts of a document's children, and of the children of repeated elements."""

    def __init__(self, root: str, repeated: str) -> None:
        self._root, self._repeated = root, repeated
        self._path: list[str] = []
        self._text: list[str] = []
        self.values: Group = {}
        self.groups: list[Group] = []

    def start(self, name: str, _: object) -> None:
        self._path.append(name.rpartition(" ")[2])
        self._text.clear()
        if self._path[0] != self._root or len(self._path) > MAX_DEPTH:
            raise InvalidDocument(f"the document is no {self._root}")
        if self._path[-1] == self._repeated:
            self.groups.append({})

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, _: str) -> None:
        name = self._path.pop()
        text = "".join(self._text)
        if self._path[-1:] == [self._repeated]:
            self.groups[-1].setdefault(name, text)
        elif len(self._path) == 1:
            self.values.setdefault(name, text)
        self._text.clear()

    def refuse(self, *_: object) -> None:
        raise InvalidDocument("the document has a document type declaration")


def _read(document: bytes, root: str, repeated: str) -> tuple[Group, list[Group]]:
    """Return the texts of the children of the root, and those in each repeated element.

    raises  InvalidDocument
    """
    reader = _Reader(root, repeated)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise InvalidDocument(f"the document is not XML: {error}") from None
    return reader.values, reader.groups

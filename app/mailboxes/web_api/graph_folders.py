"""The folders of a mailbox of Microsoft 365, by their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from app.mailboxes.types import MailboxError
from app.mailboxes.web_api import client
from app.mailboxes.web_api.client import ApiError, Document, WebApi

# Folders whose display names depend on the language of the mailbox, by their English names.
WELL_KNOWN: Mapping[str, str] = {
    "inbox": "inbox",
    "archive": "archive",
    "deleted items": "deleteditems",
    "junk email": "junkemail",
}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, with the counts of its messages if Graph reports them."""

    id: str
    message_count: int | None
    unread_count: int | None


class Folders:
    """The folders of one mailbox, by their paths, such as ``Inbox/DMARC``."""

    def __init__(self, api: WebApi, user: str) -> None:
        self._api, self._user = api, user

    def find(self, path: str, *, is_created: bool = False) -> Folder:
        """Return the folder.

        is_created  create missing folders
        raises      MailboxError
        """
        first, *others = path.split("/")
        folder = self._child(None, first, is_created)
        for name in others:
            folder = self._child(folder, name, is_created)
        return folder

    def _child(self, parent: Folder | None, name: str, is_created: bool) -> Folder:
        folder = self._listed(parent, name)
        if folder is not None:
            return folder
        if not is_created:
            raise MailboxError(f"folder {name} does not exist in the mailbox")
        document = self._api.send("POST", self._below(parent), {"displayName": name})
        return _folder(document)

    def _listed(self, parent: Folder | None, name: str) -> Folder | None:
        """Return the folder of this name; those at the top may have their English names."""
        well_known = WELL_KNOWN.get(name.lower()) if parent is None else None
        if well_known == "inbox":
            return self._well_known(well_known)
        escaped = name.replace("'", "''")
        query = urlencode({"$filter": f"displayName eq '{escaped}'", "$top": "1"})
        page = self._api.get(f"{self._below(parent)}?{query}")
        for document in client.objects_of(page, "value"):
            return _folder(document)
        return self._well_known(well_known) if well_known else None

    def _well_known(self, name: str) -> Folder | None:
        try:
            return _folder(self._api.get(f"{self._below(None)}/{name}"))
        except ApiError as error:
            if error.status == 404 and error.code == "ErrorItemNotFound":
                return None
            raise

    def _below(self, parent: Folder | None) -> str:
        path = f"{self._user}/mailFolders"
        return f"{path}/{quote(parent.id, safe='')}/childFolders" if parent else path


def _folder(document: Document) -> Folder:
    return Folder(
        id=client.text_of(document, "id"),
        message_count=client.number_of(document, "totalItemCount"),
        unread_count=client.number_of(document, "unreadItemCount"),
    )

"""Writing many items in one transaction without letting a defective one stop the others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.db.transactions import transaction

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


def write(
    items: Sequence[Item],
    do: Callable[[Session, Sequence[Item]], object],
    *,
    failure: str,
    log_fields: Callable[[Sequence[Item]], Mapping[str, Any]],
    note: Callable[[Item, Exception], object] | None = None,
) -> None:
    """Write all items in one transaction; if that fails, write each in a separate transaction.

    do          writes the items that it gets, in the transaction
    failure     the log message for items that cannot be written
    log_fields  returns the fields of that message, such as the ids of the items
    note        called with the item that cannot be written, after its transaction is rolled back
    """
    try:
        with transaction() as session:
            do(session, items)
    except Exception as error:  # a defect in one item must not stop the others
        logger.exception(failure, extra=log_fields(items))
        if len(items) > 1:
            for item in items:
                write([item], do, failure=failure, log_fields=log_fields, note=note)
        elif note:
            note(items[0], error)

"""The examples of the operations, as ``examples.json`` has them.

The file has a request and its responses for each operation. ``python -m devtools.api_examples``
records it from the examples of docs/api, which the tests execute, and a test compares the two.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

PATH = Path(__file__).with_name("examples.json")


class Example(TypedDict):
    """A request and the responses to requests of the same operation.

    path       with the query string; a report address is the text {token}
    headers    those of the request, without Authorization
    body       JSON; ``file`` is the name of a file instead
    responses  a body by status; null for a response without JSON
    """

    path: str
    headers: NotRequired[Mapping[str, str]]
    body: NotRequired[Any]
    file: NotRequired[str]
    responses: Mapping[str, Any]


def responses(operation: str) -> Mapping[str, Any]:
    """Return the recorded bodies by status."""
    example = examples().get(operation)
    return example["responses"] if example is not None else {}


@functools.cache
def examples() -> Mapping[str, Example]:
    """Return the example of each operation, by method and path."""
    stored: Mapping[str, Example] = json.loads(PATH.read_text())
    return stored

"""The type of a function that opens an alert."""

from collections.abc import Callable
from uuid import UUID

OpenAlert = Callable[..., UUID]

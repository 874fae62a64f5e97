"""A live alert with the fields that rules use."""

from dataclasses import dataclass


@dataclass
class LiveAlert:
    """The type and the subject of a live alert."""

    type: str
    subject: str

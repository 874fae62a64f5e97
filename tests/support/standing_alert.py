"""An alert that stands, as far as rules are concerned."""

from dataclasses import dataclass


@dataclass
class Standing:
    """Its type and its subject."""

    type: str
    subject: str

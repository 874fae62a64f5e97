"""Domain names: what one is, and the names that the DMARC tree walk visits."""

from typing import NewType

DomainName = NewType("DomainName", str)

"""The address that the LMTP or SMTP listener receives mail on."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listen:
    """The protocol (LMTP or SMTP) and the address; ``path`` is that of a Unix socket."""

    is_lmtp: bool
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return the address in the form of SMTP_LISTEN."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = self.path or f"{host}:{self.port}"
        return f"{'lmtp' if self.is_lmtp else 'smtp'}://{address}"


def read_listen(text: str) -> Listen:
    """Return the address that SMTP_LISTEN names.

    raises  ValueError
    """
    match = re.fullmatch(r"(lmtp|smtp)://(?:(/\S+)|([^\s/:]+|\[[0-9a-f:]+\]):([0-9]{1,5}))", text)
    if not match or int(match[4] or 0) > 65_535:
        raise ValueError("must have the form lmtp:///run/reports.sock or smtp://127.0.0.1:2525")
    return Listen(
        is_lmtp=match[1] == "lmtp",
        host=(match[3] or "").strip("[]"),
        port=int(match[4] or 0),
        path=match[2] or "",
    )

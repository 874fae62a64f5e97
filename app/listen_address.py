"""Where the LMTP or SMTP listener takes mails in, and how the setting is written."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listen:
    """Where mails are taken in, and how: LMTP, or SMTP. ``path`` is that of a Unix socket."""

    is_lmtp: bool
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """As SMTP_LISTEN has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.path or f"{host}:{self.port}"
        return f"{'lmtp' if self.is_lmtp else 'smtp'}://{place}"


def read_listen(text: str) -> Listen:
    """Where SMTP_LISTEN says that mails are taken in; raises ValueError."""
    found = re.fullmatch(r"(lmtp|smtp)://(?:(/\S+)|([^\s/:]+|\[[0-9a-f:]+\]):([0-9]{1,5}))", text)
    if not found or int(found[4] or 0) > 65_535:
        raise ValueError("it must read like lmtp:///run/reports.sock or smtp://127.0.0.1:2525")
    host = (found[3] or "").strip("[]")
    return Listen(found[1] == "lmtp", host, int(found[4] or 0), found[2] or "")

"""Submission of emails over SMTP to the mail server of the deployment."""

import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

from app.channels.types import Outcome

NOT_SET = "SMTP_URL is not set, so mailwatch cannot send email"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The mail server for outgoing email.

    tls  ``implicit`` (smtps), ``required``, ``auto`` (STARTTLS if it is offered) or ``off``
    """

    host: str
    port: int
    tls: str
    user: str | None = None
    password: str | None = None


def parse_server(url: str) -> SmtpServer:
    """Return the mail server in SMTP_URL.

    raises  ValueError
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("expected format: smtp://user:password@host:587")
    starttls = parse_qs(parts.query).get("starttls", ["required" if parts.password else "auto"])[-1]
    if starttls not in ("required", "auto", "off"):
        raise ValueError("starttls must be required, auto or off")
    is_implicit = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or (465 if is_implicit else 587 if parts.password else 25),
        tls="implicit" if is_implicit else starttls,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def submit(
    server: SmtpServer,
    build: Callable[[], EmailMessage],
    recipients: Sequence[str],
    *,
    seconds: float,
) -> Outcome:
    """Submit a message to the mail server for these recipients, and return the outcome.

    build    composes the message; a ``ValueError`` that it raises is the outcome
    seconds  timeout of each server response
    """
    try:
        message = build()
        with _connected(server, seconds) as smtp:
            if server.user is not None:
                smtp.login(server.user, server.password or "")
            refused = smtp.send_message(message, to_addrs=list(recipients))
    except smtplib.SMTPResponseException as error:
        return Outcome(error.smtp_code, f"the mail server responded with {error.smtp_code}")
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        return Outcome(code, f"the mail server refused the recipients ({code})")
    except (smtplib.SMTPException, ssl.SSLError, OSError, ValueError) as error:
        return Outcome(error=f"the mail server cannot be used: {type(error).__name__}")
    if refused:
        code = next(iter(refused.values()))[0]
        return Outcome(code, f"the mail server refused {len(refused)} of the recipients")
    return Outcome(250)


def _connected(server: SmtpServer, seconds: float) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.tls == "implicit":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=seconds, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=seconds)
    try:
        smtp.ehlo()
        if server.tls == "required" or (server.tls == "auto" and smtp.has_extn("starttls")):
            smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp

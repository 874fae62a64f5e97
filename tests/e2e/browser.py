"""A user with a real browser, and the problems that no page may have."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from app.services.accounts import accounts
from tests.e2e.service import Service
from tests.support.factories import make_account

PASSWORD = "correct horse battery"
SECONDS = 20  # the limit of an action or expectation; the machine may be busy
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--no-proxy-server"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
SERIOUS = ("serious", "critical")


@dataclass
class Person:
    """The browser of one user of the service.

    problems  problems of the pages: console messages, script errors, dialogs, foreign requests
    """

    service: Service
    context: BrowserContext
    page: Page
    account_id: UUID
    email: str
    problems: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Load the page at this path."""
        self.page.goto(self.url(path))
        return self.page

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.service.port}{path}"

    def sign_in(self, password: str = PASSWORD) -> Page:
        """Sign in through the form."""
        page = self.go("/auth/login")
        page.get_by_label("Email").fill(self.email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        return page

    def copied(self) -> str:
        """The text on the clipboard."""
        text: str = self.page.evaluate("navigator.clipboard.readText()")
        return text

    def assert_no_problems(self) -> None:
        """Check that the page has no problems, fits the window and is accessible."""
        assert self.problems == [], self.page.url
        width = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert width[0] <= width[1], f"{self.page.url} is wider than the window: {width}"
        cut = self.page.evaluate(CUT_TABLES)
        assert cut == [], f"{self.page.url}: {cut}"
        assert violations(self.page) == [], self.page.url


# The captions of the tables of which a part is visible only after scrolling sideways.
CUT_TABLES = """
() => [...document.querySelectorAll("table")]
  .filter(table => table.checkVisibility() && table.scrollWidth > table.parentElement.clientWidth)
  .map(table => table.caption?.textContent ?? table.outerHTML.slice(0, 100))
"""


def violations(page: Page) -> list[str]:
    """The serious accessibility violations that axe-core reports."""
    rules: Any = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in rules
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def open_person(
    chromium: Browser, service: Service, email: str = "ann@acme.test", **options: Any
) -> Person:
    """The owner of a new account, not signed in yet."""
    account = make_account()
    accounts.add_user(account.name, email, role="owner", password=PASSWORD)
    return open_browser(chromium, service, account.id, email, **options)


def open_browser(
    chromium: Browser, service: Service, account_id: UUID, email: str, **options: Any
) -> Person:
    """A new browser of a user, without cookies."""
    context = chromium.new_context(**options)
    origin = f"http://127.0.0.1:{service.port}"
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
    context.set_default_timeout(SECONDS * 1000)
    person = Person(
        service=service,
        context=context,
        page=context.new_page(),
        account_id=account_id,
        email=email,
    )

    def note_request(request: Request) -> None:
        if not request.url.startswith((origin, "data:")):
            person.problems.append(f"requested {request.url}")

    def note_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            person.problems.append(message.text)

    context.on("request", note_request)
    context.on("console", note_message)
    context.on("weberror", lambda error: person.problems.append(str(error.error)))
    context.on("dialog", lambda dialog: person.problems.append(f"a dialog: {dialog.message}"))
    return person

"""Screenshots of the main pages for the README; runs in .venv against a running ./dev demo."""

import getpass
import os
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SHOTS = Path(__file__).resolve().parent.parent / "docs" / "shots"
EMAIL = "admin@localhost.localdomain"
PAGES = (
    ("overview", "/", 1280, 1100, "light"),
    ("domain", "/domains/twice.example", 1280, 900, "light"),
    ("mail", "/domains/monitoring.example/mail", 1280, 1100, "light"),
    ("policy", "/domains/monitoring.example/policy?p=reject", 1280, 900, "dark"),
    ("alerts", "/alerts", 1280, 900, "light"),
    ("keys", "/settings/keys", 1280, 820, "dark"),
    ("narrow", "/domains/monitoring.example/mail", 390, 844, "light"),
)


def main(base: str) -> None:
    """Prompt for the password of the demo's owner, sign in, and take a screenshot of each page."""
    is_terminal = sys.stdin.isatty()
    password = getpass.getpass() if is_terminal else sys.stdin.readline().strip()
    SHOTS.mkdir(exist_ok=True)
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, address, width, height, scheme in PAGES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page = context.new_page()
            page.goto(f"{base}/auth/login")
            page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(EMAIL)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            page.goto(base + address)
            page.screenshot(path=SHOTS / f"{name}.png")
            context.close()
            print(SHOTS / f"{name}.png", flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])

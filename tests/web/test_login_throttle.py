"""Guesses of passwords and codes are delayed without locking the user out."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.web.sign_in import known_devices
from app.web.sign_in.login_throttle import (
    BY_EMAIL,
    BY_NETWORK,
    BY_NETWORK_AND_EMAIL,
    BY_SESSION,
    CODES_BY_EMAIL,
    Attempt,
    LoginThrottle,
)
from tests.support.dashboard_browser import PASSWORD, Browser, make_browser
from tests.support.servers import NO_REDIS

ANN = "ann@acme.test"
WRONG = "not this one at all"
NEW = "an entirely other horse"
PAIR = BY_NETWORK_AND_EMAIL.free


def sign_in(
    app: Flask, password: str = PASSWORD, *, address: str = "192.0.2.1", email: str = ANN
) -> TestResponse:
    """Sign in with a new browser."""
    form = {"email": email, "password": password}
    return app.test_client().post("/auth/login", data=form, environ_base={"REMOTE_ADDR": address})


@pytest.fixture(params=["redis", "process"])
def throttle(request: pytest.FixtureRequest) -> LoginThrottle:
    """A throttle that counts in Redis, and one that cannot reach it."""
    is_shared = request.param == "redis"
    return LoginThrottle(request.getfixturevalue("redis_url") if is_shared else NO_REDIS)


def test_attacker_on_another_network_does_not_lock_out_the_user(
    app: Flask, signed_out: Browser
) -> None:
    statuses = [sign_in(app, WRONG, address="198.51.100.7").status_code for _ in range(12)]
    assert statuses == [400] * PAIR + [429] * (12 - PAIR)
    assert sign_in(app, address="192.0.2.1").status_code == 303


def test_attacker_on_the_same_network_does_not_lock_out_a_known_device(
    app: Flask, browser: Browser
) -> None:
    for _ in range(BY_NETWORK.free + 5):
        sign_in(app, WRONG, address="127.0.0.1")
    assert sign_in(app, address="127.0.0.1").status_code == 429
    assert browser.sign_in().status_code == 303


def test_attackers_on_many_networks_do_not_lock_out_a_known_device(
    app: Flask, browser: Browser
) -> None:
    for number in range(BY_EMAIL.free):
        assert sign_in(app, WRONG, address=f"192.0.2.{number}").status_code == 400
    refused = sign_in(app, WRONG, address="198.51.100.1")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert browser.sign_in().status_code == 303


def test_the_refusal_says_when_to_try_again(app: Flask, signed_out: Browser) -> None:
    for _ in range(PAIR):
        sign_in(app, WRONG)
    response = sign_in(app)
    assert response.status_code == 429
    assert 55 <= int(response.headers["Retry-After"]) <= 60
    assert "Too many attempts. Try again in 1 minute." in response.text


def test_successful_sign_ins_do_not_count(app: Flask, signed_out: Browser) -> None:
    assert {sign_in(app).status_code for _ in range(PAIR + 3)} == {303}


def test_known_device_is_delayed_by_its_own_failures(browser: Browser) -> None:
    statuses = [browser.sign_in(WRONG).status_code for _ in range(6)]
    assert statuses == [400] * 5 + [429]


def test_device_cookie_is_http_only_and_same_site(signed_out: Browser) -> None:
    response = signed_out.sign_in(base_url="https://watch.test")
    cookies = response.headers.getlist("Set-Cookie")
    (cookie,) = (text for text in cookies if text.startswith("__Host-device="))
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert ANN not in cookie


def test_wrong_password_does_not_set_the_device_cookie(signed_out: Browser) -> None:
    signed_out.sign_in(WRONG)
    assert signed_out.client.get_cookie("device") is None


def test_device_cookie_is_valid_for_one_user_only(app: Flask, browser: Browser) -> None:
    other = make_browser(app, "eve@other.test")
    other.sign_in()
    own = browser.client.get_cookie("device")
    stolen = other.client.get_cookie("device")
    assert own is not None
    assert stolen is not None
    for value, is_known in ((own.value, True), (stolen.value, False), ("x~9~y", False)):
        with app.test_request_context(headers={"Cookie": f"device={value}"}):
            assert (known_devices.identify(ANN) is not None) is is_known


def test_tampered_or_expired_device_cookie_is_ignored(app: Flask, browser: Browser) -> None:
    cookie = browser.client.get_cookie("device")
    assert cookie is not None
    nonce, expires_at, proof = cookie.value.split("~")
    for entry in (
        f"{nonce}0~{expires_at}~{proof}",
        f"{nonce}~{int(expires_at) + 1}~{proof}",
        f"{nonce}~1~{proof}",
        f"{nonce}~{expires_at}~ü",
    ):
        with app.test_request_context(headers={"Cookie": f"device={entry}"}):
            assert known_devices.identify(ANN) is None


def test_several_users_can_share_a_browser(app: Flask, browser: Browser) -> None:
    make_browser(app, "bob@other.test")
    form = {"email": "bob@other.test", "password": PASSWORD}
    assert browser.client.post("/auth/login", data=form).status_code == 303
    cookie = browser.client.get_cookie("device")
    assert cookie is not None
    with app.test_request_context(headers={"Cookie": f"device={cookie.value}"}):
        assert known_devices.identify(ANN)
        assert known_devices.identify("Bob@other.test ")
        assert known_devices.identify("eve@other.test") is None


def test_failures_over_many_addresses_count_for_the_network(throttle: LoginThrottle) -> None:
    waits = [
        throttle.start(Attempt(f"u{number}@acme.test", "192.0.2.1"))
        for number in range(BY_NETWORK.free + 1)
    ]
    assert waits[:-1] == [0] * BY_NETWORK.free
    assert 0 < waits[-1] <= 60
    assert throttle.start(Attempt("u@acme.test", "192.0.2.2")) == 0


def test_ipv6_network_counts_as_one_client(throttle: LoginThrottle) -> None:
    for number in range(BY_NETWORK.free):
        throttle.start(Attempt(f"u{number}@acme.test", f"2001:db8::{number:x}"))
    assert throttle.start(Attempt("u@acme.test", "2001:db8::ffff"))
    assert not throttle.start(Attempt("u@acme.test", "2001:db8:0:1::1"))


def test_a_refused_attempt_does_not_count_elsewhere(throttle: LoginThrottle) -> None:
    for _ in range(BY_EMAIL.free):
        throttle.start(Attempt(ANN, "192.0.2.1"))
    assert not throttle.start(Attempt(ANN, "192.0.2.2"))
    assert not throttle.start(Attempt("bob@acme.test", "192.0.2.1"))


def test_failures_are_counted_over_all_processes(redis_url: str) -> None:
    first, second = LoginThrottle(redis_url), LoginThrottle(redis_url)
    attempt = Attempt(ANN, "192.0.2.1")
    waits = [process.start(attempt) for process in (first, second) * 3]
    assert waits[:PAIR] == [0] * PAIR
    assert waits[PAIR] > 0
    second.succeed(attempt)
    assert first.start(attempt) == 0


def test_the_delay_grows_with_each_failure(throttle: LoginThrottle) -> None:
    attempt = Attempt(ANN, "192.0.2.1", device="d")
    for _ in range(PAIR):
        assert throttle.start(attempt) == 0
    assert 55 <= throttle.start(attempt) <= 60


def test_codes_of_one_person_cannot_be_guessed_from_many_networks(throttle: LoginThrottle) -> None:
    waits = [
        throttle.start(Attempt(ANN, f"192.0.2.{number}", is_code=True))
        for number in range(CODES_BY_EMAIL.free + 1)
    ]
    assert waits[:-1] == [0] * CODES_BY_EMAIL.free
    assert waits[-1] > 0


GUESSES: dict[str, Callable[[Browser, str], TestResponse]] = {
    "password": lambda browser, guess: browser.post(
        "/settings/security/password", current=guess, password=NEW, again=NEW
    ),
    "second factor off": lambda browser, guess: browser.post(
        "/settings/security/second-factor/off", current=guess
    ),
    "recovery codes": lambda browser, guess: browser.post(
        "/settings/security/recovery-codes", current=guess
    ),
}


@pytest.mark.parametrize("form", GUESSES)
def test_guesses_of_the_current_password_are_limited(browser: Browser, form: str) -> None:
    guess = GUESSES[form]
    statuses = [guess(browser, WRONG).status_code for _ in range(BY_SESSION.free)]
    assert statuses == [400] * BY_SESSION.free
    refused = guess(browser, PASSWORD)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "Too many attempts" in refused.text


def test_all_forms_with_the_current_password_share_one_count(browser: Browser) -> None:
    for guess in (*GUESSES.values(), *GUESSES.values()):
        response = guess(browser, WRONG)
    assert response.status_code == 429


def test_guesses_in_one_session_do_not_delay_another(app: Flask, browser: Browser) -> None:
    for _ in range(BY_SESSION.free + 1):
        GUESSES["password"](browser, WRONG)
    other = Browser(app.test_client(), browser.user, browser.account_id)
    other.sign_in()
    assert GUESSES["password"](other, PASSWORD).status_code == 303


def test_form_with_another_error_does_not_count_as_a_guess(browser: Browser) -> None:
    for _ in range(BY_SESSION.free + 2):
        response = browser.post(
            "/settings/security/password", current=PASSWORD, password="short", again="short"
        )
        assert response.status_code == 400
    assert GUESSES["password"](browser, PASSWORD).status_code == 303

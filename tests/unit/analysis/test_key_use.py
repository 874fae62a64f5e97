"""API key usage and unusual activity."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app.analysis.api_keys import Activity, Address, RouteTotal, RouteUsage

TODAY = date(2026, 3, 31)
DAYS = [TODAY - timedelta(days=back) for back in range(29, -1, -1)]
AT = datetime(2026, 3, 31, 12, tzinfo=UTC)


def use(count: int, back: int = 0, status: int = 200, route: str = "GET /v1/me") -> RouteUsage:
    return RouteUsage(day=TODAY - timedelta(days=back), route=route, status=status, count=count)


def codes(*uses: RouteUsage, addresses: tuple[Address, ...] = ()) -> list[str]:
    return [remark.code for remark in Activity(DAYS, uses, addresses).remarks()]


def test_days_without_calls_are_included() -> None:
    by_day = Activity(DAYS, [use(3), use(2, status=429), use(1, 1, 404)], []).by_day()
    assert len(by_day) == 30
    assert by_day[-2:] == [(DAYS[-2], {"error": 1}), (TODAY, {"ok": 3, "limited": 2})]


def test_route_with_most_calls_comes_first() -> None:
    activity = Activity(DAYS, [use(1, route="b"), use(2, route="a"), use(2, 3, 403, "b")], [])
    assert activity.by_route() == [
        RouteTotal("b", {200: 1, 403: 2}, calls=3),
        RouteTotal("a", {200: 2}, calls=2),
    ]
    assert (activity.total(), activity.total("denied"), activity.total("ok", "denied")) == (5, 2, 5)


@pytest.mark.parametrize(
    ("before", "today", "is_burst"),
    [(50, 151, True), (50, 150, False), (10, 99, False), (0, 5000, False)],
)
def test_three_times_the_average_is_unusual(before: int, today: int, is_burst: bool) -> None:
    usual = [use(before, back) for back in range(1, 8)]
    assert codes(*usual, use(today)) == (["burst"] if is_burst else [])


def test_address_is_new_only_if_others_were_used_before() -> None:
    earlier = Address(
        address="192.0.2.1", count=9, today=1, first_day=TODAY - timedelta(days=3), last_at=AT
    )
    new = Address(address="198.51.100.7", count=1, today=1, first_day=TODAY, last_at=AT)
    assert codes(addresses=(earlier, new)) == ["new_address"]
    assert codes(addresses=(earlier,)) == []
    assert codes(addresses=(new,)) == []  # the first day of the key


@pytest.mark.parametrize(("denied", "remarks"), [(25, ["denied"]), (9, []), (24, [])])
def test_many_denied_calls_are_unusual(denied: int, remarks: list[str]) -> None:
    assert codes(use(100), use(denied, status=403)) == remarks


def test_rate_limited_calls_are_unusual() -> None:
    assert codes(use(100), use(1, status=429)) == ["limited"]
    assert codes(use(90), use(9, 1, 429)) == []

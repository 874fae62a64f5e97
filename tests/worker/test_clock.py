"""The clock process: every task runs when due, even if others fail."""

import pytest

from app.settings import Settings
from worker import clock, shutdown
from worker.clock import Task


@pytest.fixture(autouse=True)
def _not_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "_is_requested", False)
    monkeypatch.setattr(clock, "TICK_SECONDS", 0)


def test_task_runs_immediately_and_again_when_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    def often() -> None:
        calls.append("often")
        if calls.count("often") == 3:
            monkeypatch.setattr(shutdown, "_is_requested", True)

    def rarely() -> None:
        calls.append("rarely")

    clock.run([Task(0, often), Task(3600, rarely)])
    assert calls == ["often", "rarely", "often", "often"]


def test_failing_task_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def fails() -> None:
        raise ZeroDivisionError

    def works() -> None:
        calls.append("works")
        monkeypatch.setattr(shutdown, "_is_requested", True)

    clock.run([Task(0, fails), Task(0, works)])
    assert calls == ["works"]


@pytest.mark.usefixtures("database")
def test_every_task_of_the_table_can_be_called(settings: Settings) -> None:
    for task in clock.tasks(settings):
        task.do()

"""Settings in files that ``NAME_FILE`` names."""

from pathlib import Path

import pytest

from app.settings import InvalidSettings, Settings
from app.settings.files import MAX_BYTES

VALUES = {
    "SECRET_KEY": "s" * 32,
    "DATABASE_URL": "postgresql://user:word@db/app",
    "REDIS_URL": "redis://localhost:6379/0",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with the required settings and no others."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    for name, text in VALUES.items():
        monkeypatch.setenv(name, text)
    return monkeypatch


def message() -> str:
    with pytest.raises(InvalidSettings) as caught:
        Settings.load()
    return str(caught.value)


@pytest.mark.parametrize("name", VALUES)
def test_required_setting_can_be_in_a_file(
    name: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = Settings.load()
    path = tmp_path / "value"
    path.write_text(VALUES[name] + "\n")
    environment.delenv(name)
    environment.setenv(f"{name}_FILE", str(path))
    assert Settings.load() == expected


def test_every_setting_can_be_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("?")
    for name, field in Settings.model_fields.items():
        if field.annotation in (int, float, bool):
            environment.setenv(f"{name.upper()}_FILE", str(path))
            assert message().startswith(f"{name.upper()} must be ")
            environment.delenv(f"{name.upper()}_FILE")


def test_no_setting_has_the_name_of_the_file_of_another() -> None:
    assert not {f"{name}_file" for name in Settings.model_fields} & set(Settings.model_fields)


def test_value_of_a_file_is_validated_like_any_other(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "value"
    path.write_text("many")
    environment.setenv("RATE_LIMIT_FILE", str(path))
    assert message() == "RATE_LIMIT must have the form '100 per minute'."


def test_setting_and_its_file_exclude_each_other(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "value"
    path.write_text("k" * 32)
    environment.setenv("SECRET_KEY_FILE", str(path))
    assert message() == "SECRET_KEY and SECRET_KEY_FILE are both set: remove one of them."


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_unreadable_file_is_refused(
    content: bytes | None, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "value"
    if content:
        path.write_bytes(content)
    environment.setenv("METRICS_TOKEN_FILE", str(path))
    assert message() == "METRICS_TOKEN_FILE must be the path of a readable text file."


def test_large_file_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_bytes(b"k" * (MAX_BYTES + 1))
    environment.setenv("METRICS_TOKEN_FILE", str(path))
    assert message() == "METRICS_TOKEN_FILE must be the path of a file of at most 65536 bytes."

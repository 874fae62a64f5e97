"""The settings of a process: read from the environment once, checked together, never changed.

Other modules of this package have the fields in groups. The docstring of a field is its description
in the table of docs/operating.md, which ``python -m devtools.settings_table`` writes.
"""

from typing import Any, Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.settings import messages
from app.settings.connections import ConnectionSettings
from app.settings.files import FileSource
from app.settings.outgoing import OutgoingSettings
from app.settings.reports import ReportSettings
from app.settings.retention import RetentionSettings
from app.settings.scans import ScanSettings
from app.settings.types import redis_url_with_tls
from app.settings.web import WebSettings

UPLOAD_FILES = 8  # report files in one upload from the dashboard


class InvalidSettings(ValueError):
    """Settings are missing or invalid; the text has one line for each."""


class Settings(
    OutgoingSettings,
    RetentionSettings,
    ReportSettings,
    ScanSettings,
    WebSettings,
    ConnectionSettings,
    BaseSettings,
):
    """The settings; each field is the environment variable of the same name in upper case."""

    model_config = SettingsConfigDict(
        frozen=True,
        enable_decoding=False,  # lists are comma-separated, not JSON
        env_ignore_empty=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,  # a value may be a secret
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from: the arguments, or the environment and files that it names.

        Settings that are made in code therefore do not depend on the environment.
        """
        return (init_settings,) if init_settings() else (env_settings, FileSource(settings_cls))

    @classmethod
    def load(cls) -> Self:
        """Return the settings of the environment.

        raises  InvalidSettings
        """
        try:
            return cls()
        except ValueError as error:  # also a ValidationError
            raise InvalidSettings("\n".join(messages.of_error(error))) from None

    @property
    def redis_client_url(self) -> str:
        """The URL of Redis with the options of TLS; every client of this process uses it."""
        return redis_url_with_tls(self.redis_url, self.redis_ca_file, self.redis_tls_verify)

    @property
    def largest_body_bytes(self) -> int:
        """The largest request body that any page or route accepts."""
        return max(self.max_content_length, UPLOAD_FILES * self.ingest_max_bytes)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values for some fields."""
        return type(self)(**(dict(self) | changes))


_current: Settings | None = None


def use(settings: Settings) -> None:
    """Make these the settings of this process; called once, by ``runtime.start``."""
    global _current
    _current = settings


def current() -> Settings:
    """Return the settings of this process."""
    if _current is None:
        raise RuntimeError("runtime.start() has not been called in this process")
    return _current

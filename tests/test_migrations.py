"""The migrations make exactly the tables that the models describe, and can be taken back."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.engine import Engine

from app import db, models

ROOT = Path(__file__).resolve().parent.parent


def test_migrated_tables_are_those_of_the_models(database: Engine) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, models.Base.metadata) == []


def test_they_can_be_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.db'}"
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    engine = db.connect(url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()

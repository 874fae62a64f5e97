"""The settings of secrets, the database and Redis."""

from pydantic import BaseModel

from app.settings.types import (
    DatabaseUrl,
    ExistingFile,
    RedisUrl,
    Secret,
    Secrets,
)


class ConnectionSettings(BaseModel):
    """The settings of secrets, the database and Redis."""

    secret_key: Secret
    """The secret that keys for digests, encryption and signatures are derived from; at least 32
    characters.
    """
    database_url: DatabaseUrl
    """`postgresql://…` (`postgres://…` is the same), or `sqlite:////absolute/path.db`."""
    database_transaction_pooling: bool = False
    """`on`: a pooler gives each transaction another connection to PostgreSQL, as PgBouncer does
    with `pool_mode = transaction`. See [PgBouncer](#pgbouncer).
    """
    redis_url: RedisUrl
    """`redis://…`, `rediss://…` (TLS) or `unix://…`. See [Redis over TLS](#redis-over-tls)."""
    redis_ca_file: ExistingFile | None = None
    """Path of a PEM file with the certificate authorities of a `rediss://` server, if the system
    does not trust them.
    """
    redis_tls_verify: bool = True
    """`off`: accept every certificate of a `rediss://` server, so that TLS protects only from
    eavesdropping.
    """
    secret_key_previous: Secrets = ()
    """Former values, comma-separated, that are still accepted for existing data. See [Rotate
    SECRET_KEY](#rotate-secret_key).
    """
    api_key_secrets: Secrets = ()
    """Secrets for the digests of API keys and upload tokens, comma-separated, instead of a key
    derived from `SECRET_KEY`. The first one is used for new digests.
    """
    encryption_secrets: Secrets = ()
    """Like `API_KEY_SECRETS`, but for the encryption of stored secrets (webhooks, mailboxes,
    two-factor authentication, queued emails).
    """
    csrf_secrets: Secrets = ()
    """Like `API_KEY_SECRETS`, but for the CSRF tokens in forms."""
    cursor_secrets: Secrets = ()
    """Like `API_KEY_SECRETS`, but for the cursors of lists."""

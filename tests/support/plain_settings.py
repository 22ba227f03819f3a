"""Settings as a process would read them, without an environment."""

from cryptography.fernet import Fernet

from models.settings.settings import Settings


def plain_settings(**given: object) -> Settings:
    """Build settings from *given* and addresses at which no server listens."""
    required = {
        "database_url": "postgresql://slipway@127.0.0.1:1/slipway",
        "redis_url": "redis://127.0.0.1:1/0",
        "secret_key": Fernet.generate_key().decode(),
    }
    return Settings.model_validate(required | given)

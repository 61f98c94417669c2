"""Where buckets are, and what opens them: read from settings of functions and workers, never from a message."""

from __future__ import annotations

import base64
from typing import Self

from pydantic import Field, SecretStr, model_validator

from orthocontracts.model import Document
from orthocontracts.sigv4 import AccessKey


class Bucket(Document):
    """One bucket's server. Without a key it is read as everybody may."""

    endpoint: str = Field(pattern=r"^https?://[^\s/?#@]+/?$", description="https://s3.example.org")
    region: str = Field(default="us-east-1", description="of its signatures")
    key_id: str | None = None
    secret: SecretStr | None = None
    session_token: SecretStr | None = None

    @property
    def access_key(self) -> AccessKey | None:
        if self.key_id is None or self.secret is None:
            return None
        token = self.session_token.get_secret_value() if self.session_token else None
        return AccessKey(self.key_id, self.secret.get_secret_value(), token)


class Login(Document):
    """What opens a host: a bearer token, or user and password."""

    token: SecretStr | None = None
    user: str | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.token is None) == (self.user is None) or (self.user is None) != (self.password is None):
            raise ValueError("give token, or user and password")
        return self

    @property
    def authorization(self) -> str:
        """The header's value; a secret."""
        if self.token is not None:
            return f"Bearer {self.token.get_secret_value()}"
        assert self.password is not None
        pair = f"{self.user}:{self.password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

"""How to reach OpenStack Swift."""

from __future__ import annotations

from typing import Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator, model_validator


class SwiftConnection(BaseModel):
    """Where an account is, and by which right: Keystone's third version, or Swift's own.

    Attributes
    ----------
    auth_url : str
        For example ``https://keystone.example.org:5000/v3``, or ``https://swift.example.org/auth/v1.0``.
    user : str, optional
        The user's name; in version 1 with the account, ``account:user``.
    key : SecretStr
        The user's password, or the secret of the application credential.
    project : str, optional
        The project's name; None: version 1.
    user_domain, project_domain : str
    application_credential_id : str, optional
        Instead of user and project.
    region : str, optional
        Which endpoint of the catalogue to use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    auth_url: str
    user: str | None = None
    key: SecretStr
    project: str | None = None
    user_domain: str = "Default"
    project_domain: str = "Default"
    application_credential_id: str | None = None
    region: str | None = None

    @field_validator("auth_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        AnyHttpUrl(url)
        return url

    @model_validator(mode="after")
    def _one_right(self) -> Self:
        if (self.user is None) == (self.application_credential_id is None):
            raise ValueError("give either a user or an application_credential_id")
        if self.user is None and self.project is not None:
            raise ValueError("an application credential has its project already; leave project out")
        return self

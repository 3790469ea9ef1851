"""Where alerts are sent to: said by the server's settings only."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from haste_runtime.loopback import is_this_machine

_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _is_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text) or not text.isascii():
        raise ValueError("should be an address such as haste@lab.example.org")
    return text


Address = Annotated[str, AfterValidator(_is_address)]


class WebhookSettings(BaseModel):
    """A web address that gets each alert as a POST of JSON.

    Attributes
    ----------
    url : SecretStr
        Many services let everybody in who knows the address, so it is not shown.
    headers : dict of SecretStr
        For example ``Authorization``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr
    headers: dict[str, SecretStr] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: SecretStr) -> SecretStr:
        try:
            parts = parse_url(url.get_secret_value())
        except LocationParseError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.host or parts.auth:
            raise ValueError("should be http(s)://host/path; a password goes into headers, as Authorization")
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            text = value.get_secret_value()
            if not _HEADER_NAME.fullmatch(name) or not (text.isascii() and text.isprintable()):
                raise ValueError(f"the header {name!r} cannot be sent: names and values are printable ASCII")
        return headers


class EmailSettings(BaseModel):
    """A mail server, and who gets each alert.

    Attributes
    ----------
    security : {"starttls", "tls", "none"}
        How the connection is encrypted: after it was made (mostly port 587), from the beginning (mostly 465),
        or not at all. The server's certificate has to be one that this machine trusts.
    user, password : optional
        Sent over an encrypted connection only, or to this machine itself.
    sender : str
    recipients : tuple of str
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None
    sender: Address
    recipients: Annotated[tuple[Address, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _password_is_kept(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: give both or none")
        if self.user is not None and self.security == "none" and not is_this_machine(f"smtp://{self.host}"):
            raise ValueError("a password is not sent without encryption: set security to starttls or tls")
        return self

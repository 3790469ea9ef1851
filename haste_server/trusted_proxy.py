"""A proxy in front of the server that recognises users: where it is, and what they may do."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator

from haste_core.fields import Form
from haste_core.tokens import ProjectName, Scope
from haste_server.addresses import plain_address

ANY_USER = "*"
"""Stands for all whom nobody has named."""

USER_NAME = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}"
"""What a user may be called: no comma, which is what becomes of two headers."""

_UNLIKE = (
    "is not the name of a user: at most 100 letters, digits, '.', '_', '@', '+' and '-'; '*' is all others"
)
_LOOPBACK = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))

UserName = Annotated[str, Form(rf"(\*|{USER_NAME})", _UNLIKE)]


class ProxyUser(BaseModel):
    """What a user may do.

    Attributes
    ----------
    scopes : tuple of Scope
    projects : tuple of str, optional
        Whose streams the user may know of; new ones belong to the first. None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    projects: Annotated[tuple[ProjectName, ...], Field(min_length=1)] | None = None


class TrustedProxy(BaseModel):
    """Whose word counts, and for what.

    Attributes
    ----------
    user_header : str
        In which the proxy names the user. It has to take out what clients send under this name.
    addresses : tuple of networks
        From which the proxy's connections come. From anywhere else, the header says nothing.
    users : dict of ProxyUser
        By name; `ANY_USER` is all others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_header: Annotated[str, Form(r"[A-Za-z][A-Za-z0-9-]{0,99}", "is not the name of a header")]
    addresses: Annotated[tuple[IPvAnyNetwork, ...], Field(min_length=1)] = _LOOPBACK
    users: Annotated[dict[UserName, ProxyUser], Field(min_length=1)]

    @field_validator("addresses")
    @classmethod
    def _some_only(cls, networks: tuple[IPvAnyNetwork, ...]) -> tuple[IPvAnyNetwork, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("holds all addresses there are, so that anybody could say to be anybody")
        return networks

    def rights_of(self, user: str) -> ProxyUser | None:
        """Tell what a user may do; None if nothing."""
        return self.users.get(user, self.users.get(ANY_USER))

    def is_at(self, address: str) -> bool:
        """Tell whether a connection from an address is the proxy's."""
        try:
            parsed = plain_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.addresses)

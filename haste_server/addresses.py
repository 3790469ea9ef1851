"""The addresses that requests come from."""

from __future__ import annotations

import ipaddress


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address; of IPv4 also where a socket for both kinds tells it as one of IPv6.

    Raises
    ------
    ValueError
        If it is none: some sockets have no address.
    """
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address

"""Which URLs mean this machine: they are asked without a proxy, and a server without a token has no others.

A lab's ``HTTP_PROXY`` is set for the world outside; the proxy's own ``127.0.0.1`` is another machine.
"""

from __future__ import annotations

import ipaddress

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url


def host_of(url: str) -> str:
    """Find the host that is asked for a URL: lower case, IPv6 addresses without their brackets.

    Raises
    ------
    urllib3.exceptions.LocationParseError
        If the URL cannot be read.
    """
    return (parse_url(url).host or "").strip("[]")


def is_this_machine(url: str) -> bool:
    """Tell whether a URL's host is this machine by its very name; what cannot be read is not."""
    try:
        host = host_of(url)
    except LocationParseError:  # said when it is asked
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")

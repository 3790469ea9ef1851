"""Who asks by the word of a proxy in front of the server, which has recognised them."""

from __future__ import annotations

import re

from flask import Request

from haste_core.tokens import Caller, included
from haste_server.api.problem_codes import ProblemCode, RefusedError
from haste_server.trusted_proxy import USER_NAME, TrustedProxy

_SHOWN_CHARACTERS = 100


def user_of(request: Request, proxy: TrustedProxy) -> Caller | None:
    """Tell who asks; None if the proxy does not say so.

    Raises
    ------
    RefusedError
        If it names somebody who may do nothing here.
    """
    name = request.headers.get(proxy.user_header, "")
    if not name or not proxy.is_at(request.remote_addr or ""):
        return None
    rights = proxy.rights_of(name) if re.fullmatch(USER_NAME, name) else None
    if rights is None:
        raise RefusedError(
            ProblemCode.USER_UNKNOWN,
            f"the proxy says that you are {name[:_SHOWN_CHARACTERS]!r}, who may not use this server: whoever "
            "runs it can name you among the users of `trusted_proxy:` in its settings",
        )
    return Caller(f"proxy:{name}", included(rights.scopes), rights.projects, by_proxy=True)

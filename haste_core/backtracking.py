"""Regular expressions that may take for ever: found before they are tried."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
      (?P<escape> \\. )
    | (?P<set> \[ \^? \]? (?: \\. | [^\]\\] )* \] )
    | (?P<opening> \( (?: \? (?: P<\w+> | P= | [:=!>] | <[=!] | \(\w+\) | [a-zA-Z-]+:? ) )? )
    | (?P<closing> \) )
    | (?P<repeat> (?: [*+?] | \{\d+(?:,\d*)?\} | \{,\d+\} ) [?+]? )
    | (?P<choice> \| )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ONCE_AT_MOST = re.compile(r"(?:\?|\{[01]?,?1\}|\{0\})[?+]?")
_FIXED = re.compile(r"\{\d+\}[?+]?")


def explosive_repeat(pattern: str) -> str | None:
    """Find a repeated group that can be split in many ways, as in ``(a+)+`` or ``(a|ab)*``.

    The time that Python's `re` spends on a name that does not fit then doubles with each character. What is
    looked for is a group that is repeated and holds a repetition of no fixed number, or a choice. Without
    such groups the time grows as a power of the length, which a limit of the length bounds.

    Parameters
    ----------
    pattern : str
        A regular expression that `re` has accepted.

    Returns
    -------
    str or None
        The pattern up to the end of the repetition; None if there is none.

    References
    ----------
    J. Kirrage, A. Rathnayake, H. Thielecke, "Static analysis for regular expression denial-of-service
    attacks", NSS 2013. https://doi.org/10.1007/978-3-642-38631-2_11
    """
    varying = [False]  # for each group that is open: may it be of several lengths or forms?
    closed: bool | None = None  # the same for the group that has just been closed
    for token in _TOKEN.finditer(pattern):
        just_closed, closed = closed, None
        if token["opening"]:
            varying.append(False)
        elif token["closing"] and len(varying) > 1:
            closed = varying.pop()
            varying[-1] |= closed
        elif token["choice"]:
            varying[-1] = True
        elif token["repeat"]:
            if just_closed and not _ONCE_AT_MOST.fullmatch(token["repeat"]):
                return pattern[: token.end()]
            varying[-1] |= not _FIXED.fullmatch(token["repeat"])
    return None

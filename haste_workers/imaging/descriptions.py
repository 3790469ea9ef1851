"""Notes in image descriptions, put where the programs that read a description still can."""

from __future__ import annotations

import json
import re

NOTE_KEY = "haste"
"""Of a note in a description that is a JSON object."""

_CLOSING_TAG = re.compile(rb"</[^<>]+>\s*\Z")
_OLD_SHAPE = re.compile(rb"shape=\(([\d, ]+)\)")


def noted(description: bytes, note: str) -> bytes:
    """Add a note to the description of an image.

    A JSON object (tifffile's ``{"shape": ...}``) gets the member `NOTE_KEY`. XML (OME, MetaSeries) gets a
    comment before its last closing tag, for readers look at its first and last characters. All other text
    gets a line, which ImageJ skips.

    Parameters
    ----------
    description : bytes
        Of the tag ``ImageDescription``; NUL at its end is left out.
    note : str
        ASCII, one line.

    Returns
    -------
    bytes
        Without NUL.
    """
    text = description.rstrip(b"\0")
    members = _members(text)
    if members is not None:
        member = f"{json.dumps(NOTE_KEY)}: {json.dumps(note)}".encode()
        return b"{" + b", ".join(part for part in (members, member) if part) + b"}"
    closing = _CLOSING_TAG.search(text)
    if closing is not None and text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        # Two dashes would end the comment.
        comment = f"<!-- {note.replace('--', '- -')} -->".encode()
        return text[: closing.start()] + comment + text[closing.start() :]
    return b"\n".join(part for part in (text, note.encode()) if part)


def _members(text: bytes) -> bytes | None:
    """Return what stands between the braces of a JSON object, byte for byte; None if the text is none."""
    old = _OLD_SHAPE.fullmatch(text.strip())
    if old is not None:  # what tifffile wrote before 2013; nothing can be added to it
        return b'"shape": [' + old[1].strip(b", ") + b"]"
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return text.strip()[1:-1].strip() if isinstance(parsed, dict) else None

"""Pages as they were drawn last: who follows the same page as others has it drawn once for all."""

from __future__ import annotations

import threading
from collections import OrderedDict

_MOST = 50  # pages, of some 60 kB
_PLACE = b"\0form token\0"  # no page holds a NUL


class DrawnPages:
    """The newest drawing of each page, without what only one reader may know: the token of the forms."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, tag: str, page: bytes, *, form_token: str) -> None:
        """Keep a page as it was drawn for a session, by all that it may differ in for others."""
        with self._lock:
            self._pages[tag] = page.replace(form_token.encode(), _PLACE)
            self._pages.move_to_end(tag)
            if len(self._pages) > _MOST:
                self._pages.popitem(last=False)

    def find(self, tag: str, *, form_token: str) -> bytes | None:
        """Return a page for another session; None if it has to be drawn."""
        with self._lock:
            page = self._pages.get(tag)
        return None if page is None else page.replace(_PLACE, form_token.encode())

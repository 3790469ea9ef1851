"""How values stand in columns, alike on SQLite and MariaDB."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, SmallInteger, Text, TypeDecorator
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.engine import Dialect

from haste_core.messages import Place


class Code(TypeDecorator[IntEnum]):
    """A member of an enumeration, stored as its number."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, codes: type[IntEnum]) -> None:
        super().__init__()
        self.codes = codes
        self._members = {member.value: member for member in codes}

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> int | None:
        """Write the number."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, _dialect: Dialect) -> IntEnum | None:
        """Find the member."""
        return None if value is None else self._members[value]


class PlaceJson(TypeDecorator[Place]):
    """Where an object is, stored as JSON without what is not known."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Place | None, _dialect: Dialect) -> dict[str, Any] | None:
        """Write what is known."""
        return None if value is None else value.model_dump(exclude_none=True)

    def process_result_value(self, value: dict[str, Any] | None, _dialect: Dialect) -> Place | None:
        """Read it again."""
        return None if value is None else Place(**value)


class JsonText(TypeDecorator[str]):
    """JSON that is written and read as its text."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Write text as it is."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Read it as it is."""


# SQLite numbers rows by itself only where the column is exactly INTEGER; and with `sqlite_autoincrement` it
# never gives the number of a deleted row again, so that a late result cannot be taken for another task's.
ID = BigInteger().with_variant(Integer, "sqlite")
LONG_TEXT = Text().with_variant(LONGTEXT(), "mysql")
# Names are compared byte by byte: well a01 is not well A01.
MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

"""What a notebook shows of the server's answers: pieces of HTML that need nothing beside themselves.

Styles stand in the elements, for viewers of notebooks drop style sheets. Text and ground are the notebook's
own colours, so that it may be light or dark. What is not `Html` is escaped, here and nowhere else. Formulas
in names are not typeset, for they may hold links that run programs.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from haste_core.states import TaskState
from haste_runtime.quantities import number_text, size_text, time_text

MOST_ROWS = 20
"""Of a table; what is left out is counted below it."""

DONE, FAILED, OPEN = "#2e9e5b", "#d1495b", "#8a8f98"

# Told apart also by those who see few colours (Okabe and Ito), and on white as well as on black.
_TIERS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")

_FAINT = "rgba(128,128,128,.35)"
_TABLE = "border-collapse:collapse;margin:0 0 .5em;width:auto;color:inherit;font:inherit"
_CELL = "text-align:{};padding:.15em .8em .15em 0;vertical-align:top;background:none;color:inherit"
_DIGITS = 4
_LONGEST = 300  # characters of a cell

_NO_FORMULAS = "tex2jax_ignore mathjax_ignore"

_Item = TypeVar("_Item")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


@dataclass(frozen=True)
class Share:
    """A part of a bar.

    Attributes
    ----------
    label : str
    count : int
    colour : str
        As CSS writes it.
    """

    label: str
    count: int
    colour: str


@dataclass(frozen=True)
class TierShare:
    """What one tier got; the mean score is in [0, 1], or None."""

    tier: str
    count: int
    size_bytes: int
    mean_score: float | None


def card(title: str, facts: Mapping[str, Any], *parts: Html) -> Html:
    """Write one thing: its title, what is known of it (what is None is left out), and more below that."""
    known = [(name, value) for name, value in facts.items() if value is not None]
    head = f'<div style="font-weight:600;margin-bottom:.3em">{_escaped(title)}</div>'
    listed = _grid([], known) if known else ""
    inside = "".join([head, listed, *parts])
    return Html(f'<div class="{_NO_FORMULAS}" style="max-width:60em;margin:.3em 0">{inside}</div>')


def bar(shares: Sequence[Share]) -> Html:
    """Draw parts of a whole side by side, and name them below; those without anything are left out."""
    there = [share for share in shares if share.count]
    total = sum(share.count for share in there)
    if not total:
        return Html("")
    parts = "".join(
        f'<div style="width:{100 * share.count / total:.3f}%;background:{share.colour}"></div>'
        for share in there
    )
    said = ", ".join(f"{share.label} {share.count:,}" for share in there)
    named = " &nbsp; ".join(
        f"{_mark(share.colour)} {_escaped(share.label)} {share.count:,}" for share in there
    )
    drawn = f"display:flex;height:.9em;border-radius:.3em;overflow:hidden;background:{_FAINT}"
    return Html(
        f'<div role="img" aria-label="{_escaped(said)}" style="{drawn}">{parts}</div>'
        f'<div style="margin:.2em 0 .5em">{named}</div>'
    )


def states(total: int, *, done: int, failed: int) -> Html:
    """Draw how many of some jobs or tasks are done, have failed, are open."""
    open_ones = Share("open", total - done - failed, OPEN)
    return bar([Share("done", done, DONE), Share("failed", failed, FAILED), open_ones])


def tiers(shares: Iterable[TierShare]) -> Html:
    """Draw what each tier got as a bar, with its size and score in a table below."""
    listed = list(shares)
    if not listed:
        return Html("")
    coloured = [Share(one.tier, one.count, _TIERS[at % len(_TIERS)]) for at, one in enumerate(listed)]
    rows = [[one.tier, one.count, size_text(one.size_bytes), number_text(one.mean_score)] for one in listed]
    heads = ["tier", "images", "size", "mean score"]
    return Html(bar(coloured) + table(heads, rows, numbers=heads[1:], most=len(rows)))


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    numbers: Collection[str] = (),
    most: int = MOST_ROWS,
    total: int | None = None,
) -> Html:
    """Write a table, its first rows only; the columns that are named in `numbers` are set right.

    `total` tells how many rows there would be, if not all are given.
    """
    written = _grid(heads, rows[:most], numbers=numbers)
    left_out = (len(rows) if total is None else total) - min(len(rows), most)
    return Html(f"{written}<div>… and {left_out:,} more</div>") if left_out else written


def link(address: str, text: str) -> Html:
    """Write a link that opens in a tab of its own."""
    return Html(
        f'<a href="{_escaped(address)}" target="_blank" rel="noopener noreferrer">{_escaped(text)}</a>'
    )


def fields(title: str, values: Mapping[str, Any]) -> Html:
    """Write all that an answer says, with times and sizes as people read them."""
    return card(title, {name: _readable(name, value) for name, value in values.items()})


class Listing(list[_Item]):
    """A list of answers that a notebook shows as a table.

    Attributes
    ----------
    columns : tuple of str
        The attributes of an answer to show; those in `numbers` are set right.
    """

    columns: ClassVar[tuple[str, ...]]
    numbers: ClassVar[Collection[str]] = ()

    def _repr_html_(self) -> str:
        shown = self[:MOST_ROWS]
        rows = [[_readable(name, getattr(item, name)) for name in self.columns] for item in shown]
        return table(self.columns, rows, numbers=self.numbers, total=len(self))


def moment(seconds: float | None) -> str | None:
    """Write a time, in seconds since 1970; None if there is none."""
    return None if seconds is None else time_text(seconds)


def state(code: int) -> str:
    """Write the state of a task as its code and its name."""
    return f"{code} {TaskState(code).name.lower().replace('_', ' ')}"


def _grid(heads: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Collection[str] = ()) -> Html:
    sides = ["right" if head in numbers else "left" for head in heads]
    top = "".join(
        f'<th style="{_CELL.format(side)}">{_escaped(head)}</th>'
        for head, side in zip(heads, sides, strict=True)
    )
    lines = "".join(f'<tr style="background:none">{_cells(row, sides)}</tr>' for row in rows)
    return Html(
        f'<table class="{_NO_FORMULAS}" style="{_TABLE}">{f"<tr>{top}</tr>" if heads else ""}{lines}</table>'
    )


def _cells(row: Sequence[Any], sides: Sequence[str]) -> str:
    return "".join(
        f'<td style="{_CELL.format(side)};overflow-wrap:anywhere">{_cell(value)}</td>'
        for value, side in zip(row, sides or ["left"] * len(row), strict=True)
    )


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return value
    text = _text(value)
    return _escaped(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _escaped(text: str) -> str:
    # Names of files may hold what is no text.
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def _readable(name: str, value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("_at") or name == "timestamp":
            return time_text(value)
        if name.endswith("_bytes"):
            return size_text(value)
    return value if value not in ({}, (), []) else None


def _mark(colour: str) -> str:
    return f'<span style="display:inline-block;width:.7em;height:.7em;background:{colour}"></span>'

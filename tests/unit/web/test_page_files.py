"""What the files of the pages may hold."""

import re
from pathlib import Path

import pytest

_WEB = Path(__file__).resolve().parents[3] / "haste_server" / "web"
_FILES = sorted(file for file in _WEB.rglob("*") if file.suffix in (".html", ".css", ".js", ".svg"))
_CSS = (_WEB / "static" / "page.css").read_text()
_NAMESPACE = "http://www.w3.org/2000/svg"
_READABLE, _DISCERNIBLE = 4.5, 3.0  # contrast, WCAG 2.1 AA: texts, and what is not text


def test_the_files_are_found() -> None:
    assert len(_FILES) > 7


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_nothing_is_loaded_from_elsewhere_or_written_into_the_page(file: Path) -> None:
    text = file.read_text().replace(_NAMESPACE, "")
    assert not re.search(r"https?:|(?<![:\w])//[\w.]|@import|url\(['\"]?(?!for)", text.replace("\n//", "")), (
        file
    )
    assert not re.search(r"<script(?! src=\"\{\{ url_for)|<style|\sstyle=|\son\w+=|javascript:", text)
    assert "| safe" not in text
    assert "|safe" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    light, _, rest = _CSS.partition("@media (prefers-color-scheme: dark)")
    block = light if scheme == "light" else rest.partition("}\n}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    texts = [(ink, ground) for ink in ("ink", "faint", "link", "warn") for ground in ("ground", "panel")]
    for ink, ground in [*texts, ("on-button", "button")]:
        assert _contrast(colours[ink], colours[ground]) >= _READABLE, (ink, ground)
    assert _contrast(colours["line"], colours["ground"]) >= _DISCERNIBLE


def test_what_a_button_says_is_not_broken_into_letters() -> None:
    """As a notice, in which buttons stand, breaks what has no blanks."""
    (rule,) = re.findall(r"^button \{([^}]*)\}", _CSS, re.MULTILINE)
    assert "white-space: nowrap" in rule
    assert ".alert form { flex: none; }" in _CSS


def test_motion_can_be_reduced_and_both_schemes_are_there() -> None:
    assert "prefers-reduced-motion: reduce" in _CSS
    assert "prefers-color-scheme: dark" in _CSS


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

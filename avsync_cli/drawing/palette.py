"""The colours of every picture, by what they stand for, on light paper and on dark."""

from __future__ import annotations

from collections.abc import Mapping

from avsync_cli.inference.evidence import BlockResult

_COLORS = {
    "paper": ("#ffffff", "#10151c"),
    "panel": ("#f5f7fa", "#1a222d"),
    "ink": ("#16202c", "#e9eef5"),
    "muted": ("#566273", "#a3b0c0"),
    "grid": ("#dde3eb", "#2f3a48"),
    "accent": ("#1d5fd1", "#6fa8ff"),
    "second": ("#8a4fc7", "#c59bf2"),
    "third": ("#0b7f86", "#4fc3c9"),
    "fourth": ("#b0561b", "#e89b63"),
    "ok": ("#14794a", "#5bc98f"),
    "bad": ("#bd2f2a", "#ff8078"),
    "open": ("#8f5b00", "#e6b04d"),
    "line-0": ("#0072b2", "#3f9fdc"),
    "line-1": ("#d55e00", "#f28a3c"),
    "line-2": ("#009e73", "#1fbf92"),
    "line-3": ("#cc79a7", "#dd9cc0"),
    "line-4": ("#e69f00", "#f0bf4a"),
    "line-5": ("#56b4e9", "#8accf2"),
    "line-6": ("#000000", "#ffffff"),
}
"""Of every role on light paper and on dark. Every text colour has a contrast of at least 4.5 to 1
(WCAG 2.2 AA) on paper and panel. The lines of a chart stay apart for most colour-blind readers
(Okabe and Ito), and have dashes besides."""

LIGHT: Mapping[str, str] = {role: light for role, (light, _) in _COLORS.items()}
DARK: Mapping[str, str] = {role: dark for role, (_, dark) in _COLORS.items()}

HEAT = "#1f6feb"
"""A heat map, laid over either paper with the value as its opacity."""

CELLS = "#ffb000"
"""The model's cells, and what has weight, on the picture itself."""

STATUS_ROLE = {"in_sync": "ok", "out_of_sync": "bad", "undecided": "open"}

TRACK_ROLES = ("accent", "second", "third", "fourth")
"""Face tracks, in turn; the whole frame is "muted"."""

LINES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("line-0", ()),
    ("line-1", (6, 3)),
    ("line-2", (2, 3)),
    ("line-3", (8, 3, 2, 3)),
    ("line-4", (1, 4)),
    ("line-5", (12, 4)),
    ("line-6", (4, 4)),
)
"""Role and dashes of a chart's lines, in turn."""


def region_role(block: BlockResult) -> str:
    """The role of a block's region."""
    track = block.region.track
    if block.region.kind == "frame" or track is None:
        return "muted"
    return TRACK_ROLES[track % len(TRACK_ROLES)]


def rgb(color: str) -> tuple[int, int, int]:
    """The three numbers 0..255 of a colour.

    >>> rgb("#ff8000")
    (255, 128, 0)
    """
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def palette_css(palette: Mapping[str, str]) -> str:
    """The colours as CSS variables, for a `:root` block."""
    return "".join(f"--{role}:{color};" for role, color in palette.items())


def paper_css() -> str:
    """All colours of a page or picture that follows its reader's light or dark mode, and the
    classes that figures use, f-<role> to fill and s-<role> to stroke."""
    light, dark = palette_css(LIGHT), palette_css(DARK)
    css = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return css + "".join(f".f-{r}{{fill:var(--{r})}}.s-{r}{{stroke:var(--{r})}}" for r in LIGHT)

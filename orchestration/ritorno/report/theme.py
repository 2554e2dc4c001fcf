"""Colours and type, for the pages and the charts, light and dark.

Charts name colours by token (`@blue`); the browser puts in the theme's value, so one specification serves both. The
hues are Okabe and Ito's (jfly.uni-koeln.de/color, 2008), darkened on white and lightened on dark until each has a
contrast of 3 to its card, which is what WCAG 2.2 asks of graphics (1.4.11); text has 4.5 (1.4.3), as
`tests/report` counts.
"""

from __future__ import annotations

LIGHT: dict[str, str] = {
    "page": "#f6f5f2",
    "card": "#ffffff",
    "text": "#1c2430",
    "muted": "#556070",
    "line": "#dedbd4",
    "grid": "#ebe8e2",
    "control": "#7d8694",
    "accent": "#0b5f8a",
    "good": "#0b6e4f",
    "bad": "#b03a12",
    "alarm": "#a5232f",
    "blue": "#0072b2",
    "orange": "#c75400",
    "green": "#008060",
    "pink": "#b3598d",
    "gold": "#a37000",
    "sky": "#2b8cc4",
    "grey": "#747c89",
    "purple": "#6a57a5",
    "heat_low": "#edf3f6",
    "heat_mid": "#5988a4",
    "heat_high": "#0a4f78",
    "heat_text": "#000000",
    "heat_text_high": "#ffffff",
    "minus": "#c75400",
    "zero": "#f1efea",
    "plus": "#0072b2",
}
DARK: dict[str, str] = {
    "page": "#11151b",
    "card": "#1a2029",
    "text": "#e8ebf0",
    "muted": "#a5afbe",
    "line": "#323b48",
    "grid": "#2a323d",
    "control": "#7f8a9a",
    "accent": "#6fc0ef",
    "good": "#5fd0a6",
    "bad": "#f59a6b",
    "alarm": "#ff8f92",
    "blue": "#4ba6de",
    "orange": "#f0803c",
    "green": "#3cc19b",
    "pink": "#dd94c0",
    "gold": "#e6b045",
    "sky": "#8ccff5",
    "grey": "#949eae",
    "purple": "#a999e6",
    "heat_low": "#222c37",
    "heat_mid": "#476376",
    "heat_high": "#93d5f9",
    "heat_text": "#ffffff",
    "heat_text_high": "#000000",
    "minus": "#f0803c",
    "zero": "#2a323d",
    "plus": "#4ba6de",
}
CATEGORY = ("blue", "orange", "green", "pink", "gold", "sky", "purple", "grey")
"""The order in which series get their colours."""


def css(palette: dict[str, str]) -> str:
    """The palette as CSS variables."""
    return " ".join(f"--{name.replace('_', '-')}: {value};" for name, value in palette.items())


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2, glossary)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, glossary)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)

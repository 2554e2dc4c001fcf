"""Rectangles whose areas are in proportion: a treemap (Bruls, Huizing, van Wijk: Squarified Treemaps, 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[float], frame: Box) -> list[Box]:
    """A rectangle of `frame` for each size, in their order; give them largest first for squarer ones.

    Sizes must be positive; the areas add up to the frame's.
    """
    total = sum(sizes)
    areas = [size / total * frame.width * frame.height for size in sizes] if total else []
    boxes: list[Box] = []
    row: list[float] = []
    for area in areas:
        side = min(frame.width, frame.height)
        if row and _worst([*row, area], side) > _worst(row, side):
            laid, frame = _lay(row, frame)
            boxes += laid
            row = []
        row.append(area)
    return boxes + (_lay(row, frame)[0] if row else [])


def _worst(row: Sequence[float], side: float) -> float:
    """The worst aspect ratio if `row` were laid along `side`."""
    total = sum(row)
    return max(max(side**2 * area / total**2, total**2 / (side**2 * area)) for area in row)


def _lay(row: Sequence[float], frame: Box) -> tuple[list[Box], Box]:
    """The row along the frame's shorter side, and what is left of the frame."""
    total = sum(row)
    boxes = []
    if frame.width >= frame.height:
        width = total / frame.height
        y = frame.y
        for area in row:
            boxes.append(Box(frame.x, y, width, area / width))
            y += area / width
        return boxes, Box(frame.x + width, frame.y, max(frame.width - width, 1e-9), frame.height)
    height = total / frame.width
    x = frame.x
    for area in row:
        boxes.append(Box(x, frame.y, area / height, height))
        x += area / height
    return boxes, Box(frame.x, frame.y + height, frame.width, max(frame.height - height, 1e-9))

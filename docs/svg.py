"""A page of SVG: boxes, lines and words that can be read on light and on dark. Knows nothing of what they mean."""

from __future__ import annotations

from html import escape

STYLE = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #3b434c; }
.small { font-size: 11px; }
.strong { font-weight: 700; }
.line { stroke: #7d8793; fill: none; }
.box { stroke: #7d8793; fill: #7d8793; fill-opacity: 0.08; }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9; } }
"""
COLOURS = ("#3f83d1", "#d9822b", "#3d9a5f", "#9466c9", "#c2528b", "#2f9aa5")  # of workers; on white and on black


class Page:
    """Collects shapes; ``str`` of it is the file.

    Args:
        width, height: pixels.
        title: what the picture shows, for those who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._shapes: list[str] = []

    def text(self, x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> None:
        """Words on a base line; ``kind`` holds classes of the style."""
        of_kind = f' class="{kind}"' if kind else ""
        placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._shapes.append(f'<text x="{_n(x)}" y="{_n(y)}"{of_kind}{placed}>{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, *, fill: str = "", solid: float = 1.0) -> None:
        """A rectangle; without ``fill`` an outline."""
        place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        look = f'fill="{fill}" fill-opacity="{solid}" stroke="{fill}"' if fill else 'class="box"'
        self._shapes.append(f'<rect {place} rx="2" {look}/>')

    def line(self, x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False, arrow: bool = False) -> None:
        """A straight line."""
        dashes = ' stroke-dasharray="3 3"' if dashed else ""
        head = ' marker-end="url(#arrow)"' if arrow else ""
        ends = f'x1="{_n(x)}" y1="{_n(y)}" x2="{_n(to_x)}" y2="{_n(to_y)}"'
        self._shapes.append(f'<line class="line" {ends}{dashes}{head}/>')

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """A filled circle."""
        self._shapes.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{fill}"/>')

    def path(self, points: str, colour: str) -> None:
        """A thick stroke."""
        self._shapes.append(f'<path d="{points}" stroke="{colour}" stroke-width="2.5" fill="none"/>')

    def __str__(self) -> str:
        size = f'width="{_n(self._width)}" height="{_n(self._height)}"'
        view = f'viewBox="0 0 {_n(self._width)} {_n(self._height)}"'
        arrow = (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#7d8793"/></marker></defs>'
        )
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img">'
        title = f"<title>{escape(self._title)}</title>"
        return "\n".join([head, title, f"<style>{STYLE}</style>", arrow, *self._shapes, "</svg>\n"])


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")

"""Whether points, lines and polygons of a plane share a point: exactly, whatever the rounding.

Pure Python, because neither functions nor client carry a geometry library: those bring NumPy, which costs a cold
start a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

Point = tuple[float, float]
Edge = tuple[Point, Point]
Bounds = tuple[float, float, float, float]
"""``left, bottom, right, top``"""

_ROUNDING = 3.3306690738754716e-16
"""(3 + 16 e) e with e = 2^-53. Source: J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust
Geometric Predicates", Discrete & Computational Geometry 18 (1997), 305-363: ``ccwerrboundA``."""
_FEW_EDGES = 48
"""Below, looking at all of them is faster than looking up which to look at."""
MOST_TESTS = 500_000
"""Pairs of edges that are held against each other to find where rings cross themselves: about a second. A coast of ten
thousand points needs a tenth."""


class TooIntricateError(ValueError):
    """A ring whose edges lie so close together that nobody finds out in time whether they cross."""


class Strips:
    """Edges by the horizontal strips of the plane they reach into."""

    def __init__(self, edges: Sequence[Edge], bounds: Bounds) -> None:
        self._bottom = bounds[1]
        n_strips = max(1, len(edges) // 4)
        while True:
            self._height = (bounds[3] - bounds[1]) / n_strips or 1.0
            n_entries = sum(self._last(edge) - self._first(edge) + 1 for edge in edges)
            if n_entries <= 16 * len(edges) or n_strips <= 16:
                break
            n_strips //= 2
        self.strips: list[list[Edge]] = [[] for _ in range(n_strips + 1)]
        for edge in edges:
            for number in range(self._first(edge), self._last(edge) + 1):
                self.strips[number].append(edge)

    def between(self, bottom: float, top: float) -> Iterator[Edge]:
        """Edges that may reach into a range of heights; one may come more than once."""
        first = max(0, min(len(self.strips) - 1, self._number(bottom)))
        last = max(0, min(len(self.strips) - 1, self._number(top)))
        for number in range(first, last + 1):
            yield from self.strips[number]

    def of(self, number: int) -> tuple[float, float]:
        """Bottom and top of a strip."""
        return self._bottom + number * self._height, self._bottom + (number + 1) * self._height

    def _first(self, edge: Edge) -> int:
        return self._number(min(edge[0][1], edge[1][1]))

    def _last(self, edge: Edge) -> int:
        return self._number(max(edge[0][1], edge[1][1]))

    def _number(self, y: float) -> int:
        return math.floor((y - self._bottom) / self._height)


@dataclass(frozen=True)
class Part:
    """One piece of the plane: a polygon by its closed rings, the first around the others; a line by its points; a
    single point."""

    rings: tuple[tuple[Point, ...], ...]
    is_polygon: bool

    @cached_property
    def bounds(self) -> Bounds:
        xs, ys = [x for x, _ in self.rings[0]], [y for _, y in self.rings[0]]
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        if len(self.rings[0]) == 1:
            return ((self.rings[0][0], self.rings[0][0]),)
        return tuple(edge for ring in self.rings for edge in pairwise(ring))

    @cached_property
    def _strips(self) -> Strips:
        return Strips(self.edges, self.bounds)

    def moved(self, by_x: float) -> Part:
        return Part(tuple(tuple((x + by_x, y) for x, y in ring) for ring in self.rings), self.is_polygon)

    def edges_between(self, bottom: float, top: float) -> Iterable[Edge]:
        return self.edges if len(self.edges) <= _FEW_EDGES else self._strips.between(bottom, top)

    def holds(self, point: Point) -> bool:
        """Whether a polygon holds a point that is not on its edges: the even-odd rule along a ray to the right."""
        x, y = point
        left, bottom, right, top = self.bounds
        if not self.is_polygon or not (left <= x <= right and bottom <= y <= top):
            return False
        odd = False
        for a, b in self.edges_between(y, y):
            if (a[1] > y) != (b[1] > y) and (turn(a, b, point) > 0) == (b[1] > a[1]):
                odd = not odd
        return odd


def touch(one: Part, other: Part) -> bool:
    """Whether two pieces share a point. Edges belong to them."""
    if not boxes_meet(one.bounds, other.bounds):
        return False
    many, few = (one, other) if len(one.edges) > len(other.edges) else (other, one)
    for edge in few.edges:
        box = _box(edge)
        for near in many.edges_between(box[1], box[3]):
            if boxes_meet(box, _box(near)) and edges_touch(edge, near):
                return True
    return one.holds(other.rings[0][0]) or other.holds(one.rings[0][0])


def boxes_meet(a: Bounds, b: Bounds) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def edges_touch(one: Edge, other: Edge) -> bool:
    """Whether two edges whose boxes meet share a point."""
    (p, q), (r, s) = one, other
    return turn(p, q, r) * turn(p, q, s) <= 0 and turn(r, s, p) * turn(r, s, q) <= 0


def turn(p: Point, q: Point, r: Point) -> int:
    """1 where ``r`` is left of the way from ``p`` to ``q``, -1 where it is right of it, 0 where it is on it."""
    one, other = (q[0] - p[0]) * (r[1] - p[1]), (q[1] - p[1]) * (r[0] - p[0])
    area = one - other
    if abs(area) <= _ROUNDING * (abs(one) + abs(other)):
        (px, py), (qx, qy), (rx, ry) = ((Fraction(x), Fraction(y)) for x, y in (p, q, r))
        exact = (qx - px) * (ry - py) - (qy - py) * (rx - px)
        return (exact > 0) - (exact < 0)
    return 1 if area > 0 else -1


def crossing(ring: Sequence[Point], budget: Iterator[int]) -> Point | None:
    """A point near which a closed ring touches or crosses itself; None where it does not.

    Every pair of edges that is held against each other takes one from ``budget``, which all rings of a geometry share.

    Raises
    ------
    TooIntricateError
    """
    edges = list(pairwise(ring))
    order = {id(edge): number for number, edge in enumerate(edges)}
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    strips = Strips(edges, (min(xs), min(ys), max(xs), max(ys)))
    for number, strip in enumerate(strips.strips):
        bottom, top = strips.of(number)
        spans = sorted((*_span(edge, bottom, top), order[id(edge)]) for edge in strip)
        for here, (_, right, first) in enumerate(spans):
            for left, _, second in spans[here + 1 :]:
                if left > right:
                    break
                if next(budget, None) is None:
                    raise TooIntricateError("its edges lie too close together to find out whether they cross")
                if _cross(edges, first, second):
                    return _between(edges[first], edges[second])
    return None


def _between(one: Edge, other: Edge) -> Point:
    """The middle of where the boxes of two edges meet."""
    a, b = _box(one), _box(other)
    return (max(a[0], b[0]) + min(a[2], b[2])) / 2, (max(a[1], b[1]) + min(a[3], b[3])) / 2


def _cross(edges: Sequence[Edge], first: int, second: int) -> bool:
    one, other = edges[first], edges[second]
    if abs(first - second) in (1, len(edges) - 1):  # neighbours share a corner: they may only lie on each other
        if len(edges) < 3:
            return True
        a, b = (one, other) if (first + 1) % len(edges) == second else (other, one)
        ahead = (b[1][0] - b[0][0]) * (a[1][0] - a[0][0]) + (b[1][1] - b[0][1]) * (a[1][1] - a[0][1])
        return turn(a[0], a[1], b[1]) == 0 and ahead < 0
    return boxes_meet(_box(one), _box(other)) and edges_touch(one, other)


def _span(edge: Edge, bottom: float, top: float) -> tuple[float, float]:
    """From where to where an edge reaches inside a strip, and a little more."""
    (x0, y0), (x1, y1) = edge
    if y0 == y1:
        return min(x0, x1), max(x0, x1)
    ends = []
    for y in (bottom, top):
        part = min(1.0, max(0.0, (y - y0) / (y1 - y0)))
        ends.append(x0 + part * (x1 - x0))
    slack = 1e-9 * (1.0 + abs(x0) + abs(x1))
    return min(ends) - slack, max(ends) + slack


def _box(edge: Edge) -> Bounds:
    (x0, y0), (x1, y1) = edge
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

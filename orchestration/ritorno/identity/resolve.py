"""From nodes and edges to customers. Pure: numbers in, numbers out.

Nodes are numbered by age (0 = first seen), so the smallest number of a component is its oldest node, which gives the
customer its key, whatever the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Numbers = NDArray[np.int64]
Pair = tuple[int, int]

STRENGTH = {"override": 0, "explicit": 1, "company": 2, "email": 3, "phone": 4}
"""Which edges are kept first where a `same_person = false` has to break a component apart."""


class Edge(NamedTuple):
    """An edge between two nodes, with its kind (a key of STRENGTH)."""

    kind: str
    left: int
    right: int


@dataclass(frozen=True)
class Separation:
    """How a component was broken apart: the oldest node of each node's part, and the edges that gave way."""

    oldest: dict[int, int]
    cut: tuple[Edge, ...]


def components(node_count: int, left: Numbers, right: Numbers) -> Numbers:
    """The oldest (smallest) node of each node's connected component."""
    if node_count == 0:
        return np.empty(0, dtype=np.int64)
    weights: NDArray[Any] = np.ones(len(left), dtype=np.int8)
    graph = coo_array((weights, (left, right)), shape=(node_count, node_count))
    count, label = connected_components(graph, directed=False)
    # A node is met in ascending order, so the first index of a label is its smallest node.
    oldest = np.full(count, node_count, dtype=np.int64)
    np.minimum.at(oldest, label, np.arange(node_count, dtype=np.int64))
    result: Numbers = oldest[label]
    return result


def ordered(pair: Pair) -> Pair:
    """The pair with the older node first."""
    return pair if pair[0] <= pair[1] else (pair[1], pair[0])


def separate(nodes: Iterable[int], edges: Sequence[Edge], different: Iterable[Pair]) -> Separation:
    """Split a component so that no pair of `different` ends up in one part.

    Edges directly between such a pair are gone, a manual `true` included. Where the two are still connected through
    others, edges are laid strongest first (override, explicit id, company, e-mail, phone; then the older nodes), and
    one that would bring such a pair together gives way. So a `false` always holds, a contested node stays with the
    side it is tied to more strongly, and neither depends on the order of the rows.
    """
    parent = {node: node for node in nodes}
    enemies: dict[int, set[int]] = {node: set() for node in parent}
    for one, other in different:
        enemies[one].add(other)
        enemies[other].add(one)

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    cut: list[Edge] = []
    for edge in sorted(edges, key=lambda edge: (STRENGTH[edge.kind], *ordered((edge.left, edge.right)))):
        keep, join = ordered((find(edge.left), find(edge.right)))
        if keep == join:
            continue
        if join in enemies[keep]:
            cut.append(edge)
            continue
        parent[join] = keep
        for enemy in enemies.pop(join):
            enemies[enemy].discard(join)
            enemies[enemy].add(keep)
            enemies[keep].add(enemy)
    return Separation({node: find(node) for node in parent}, tuple(cut))

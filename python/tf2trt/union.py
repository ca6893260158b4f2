"""Union-find: which things belong together, as pairs of them are told one after the other."""

from __future__ import annotations

from typing import Callable, Iterable, Tuple, TypeVar

__all__ = ["union"]

Item = TypeVar("Item")


def union(items: Iterable[Item]) -> Tuple[Callable[[Item], Item], Callable[[Item, Item], None]]:
    """``find``, which gives the item that stands for all that belong with an item, and ``join``, which puts the second
    item's group under the first one's.
    """
    parent = {item: item for item in items}

    def find(item: Item) -> Item:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(one: Item, other: Item) -> None:
        parent[find(other)] = find(one)

    return find, join

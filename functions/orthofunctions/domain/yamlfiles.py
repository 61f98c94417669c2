"""Settings files: YAML of bounded size. Aliases make a kilobyte of it stand for more than a machine can hold."""

from __future__ import annotations

from typing import Any, Final

import yaml

MOST_VALUES: Final = 100_000
"""A site of hundreds of pools and users has thousands."""


class _TooMuchError(yaml.MarkedYAMLError):
    pass


def read_yaml(text: bytes) -> tuple[yaml.Node | None, Any]:
    """The nodes of a file, which know their lines, and its values.

    Raises
    ------
    yaml.YAMLError
        Where it is no YAML, or says more than `MOST_VALUES` once its aliases are written out.
    UnicodeDecodeError
    """
    loader = yaml.SafeLoader(text.decode())
    try:
        tree: yaml.Node | None = loader.get_single_node()
        if tree is None:
            return None, None
        _count(tree, {})
        return tree, loader.construct_document(tree)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node is written out; each node is counted once."""
    counted = known.get(id(node), 0)
    if counted is None:
        raise _TooMuchError(problem="an alias within what it stands for", problem_mark=node.start_mark)
    if counted:
        return counted
    known[id(node)] = None
    parts = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        parts = [one for pair in node.value for one in pair]
    counted = 1 + sum(_count(one, known) for one in parts)
    if counted > MOST_VALUES:
        raise _TooMuchError(problem=f"more than {MOST_VALUES} values", problem_mark=node.start_mark)
    known[id(node)] = counted
    return counted

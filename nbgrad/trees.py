"""Nested arguments and results (dict, list, tuple, namedtuple), over optree, imported when a container is met."""

_CONTAINERS = (tuple, list, dict)


def flatten(tree):
    """(leaves, structure) of a nest; `structure` is hashable, and None for a bare leaf."""
    if not isinstance(tree, _CONTAINERS):
        return [tree], None
    import optree

    leaves, structure = optree.tree_flatten(tree)
    return leaves, structure


def unflatten(structure, leaves):
    """The nest of `structure` with other leaves."""
    return leaves[0] if structure is None else structure.unflatten(leaves)

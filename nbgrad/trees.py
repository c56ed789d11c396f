"""Nested arguments and results, over optree, which is imported when a container is met.

Containers are tuples, lists, dicts, their like that optree knows (named tuples, ordered dicts, deques, classes
registered in the namespace ``"nbgrad"``) and dataclasses.  A field of a dataclass that is no array is marked with
``dataclasses.field(metadata={"static": True})``: it belongs to the structure.
"""

import dataclasses
import functools
from collections.abc import Sequence

NAMESPACE = "nbgrad"
_known = {tuple: True, list: True, dict: True}  # classes, and whether they are containers


def is_container(x):
    """Whether `x` has parts, rather than being a leaf."""
    kind = type(x)
    found = _known.get(kind)
    return _look_at_first(kind) if found is None else found


def _look_at(kind):
    if issubclass(kind, (tuple, list, dict)):
        return True
    if kind.__module__ == "builtins" or kind.__module__.partition(".")[0] in ("numpy", "nbgrad"):
        return False
    import optree

    try:
        if optree.register_pytree_node.get(kind, namespace=NAMESPACE) is not None:
            return True
    except ValueError:
        pass
    if dataclasses.is_dataclass(kind):
        _register(kind)
        return True
    return False


def _register(kind):
    """A dataclass as a container of its fields."""
    import optree

    fields = [f for f in dataclasses.fields(kind) if f.init]
    moving = tuple(f.name for f in fields if not f.metadata.get("static"))
    static = [f.name for f in fields if f.metadata.get("static")]
    # written out for the class, as dataclasses writes __init__: both are called at every node
    parts, settled = ("".join(f"x.{n}, " for n in names) for names in (moving, static))
    given = [f"{n}={kept}[{i}]" for kept, names in (("p", moving), ("s", static)) for i, n in enumerate(names)]
    parted = eval(f"lambda x: (({parts}), ({settled}), names)", {"names": moving})
    joined = eval(f"lambda s, p: kind({', '.join(given)})", {"kind": kind})
    optree.register_pytree_node(kind, parted, joined, path_entry_type=optree.DataclassEntry, namespace=NAMESPACE)


def flatten(tree):
    """(leaves, structure) of a nest; `structure` is hashable, and None for a bare leaf."""
    if not is_container(tree):
        return [tree], None
    import optree

    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    if _news(leaves):
        return flatten(tree)
    return leaves, structure


def flatten_with_paths(tree, name):
    """(paths, leaves, structure), where a path is written as in Python, behind `name`: ``name['weights'][0].bias``."""
    leaves, structure = flatten(tree)
    return [name] if structure is None else _Paths(structure, name), leaves, structure


class _Paths(Sequence):
    """The paths of all leaves, written when one is read: that takes ten times as long as to flatten."""

    def __init__(self, structure, name):
        self._structure, self._name = structure, name

    @functools.cached_property
    def _written(self):
        return [a.codify(self._name) for a in self._structure.accessors()]

    def __len__(self):
        return self._structure.num_leaves

    def __getitem__(self, i):
        return self._written[i]


def argument_paths(arguments):
    """What the leaves of ``(positional, keyword)`` arguments are called in errors."""
    positional, named = arguments
    found = []
    for i, a in enumerate(positional):
        found += flatten_with_paths(a, f"argument {i}")[0]
    for name in sorted(named):
        found += flatten_with_paths(named[name], f"keyword argument {name}")[0]
    return found


def _news(leaves):
    """Whether a leaf turns out to be a container of a class that has just been met for the first time."""
    classes = set(map(type, leaves))
    return any(kind not in _known and _look_at_first(kind) for kind in classes)


def _look_at_first(kind):
    found = _known[kind] = _look_at(kind)
    return found


def unflatten(structure, leaves):
    """The nest of `structure` with other leaves."""
    return leaves[0] if structure is None else structure.unflatten(leaves)


def spread(prefix, tree):
    """The leaves of `prefix`, each as often as there are leaves of `tree` in its place; ValueError where they differ.

    ``None`` is a leaf of `prefix`.
    """
    import optree

    _, structure = flatten(tree)
    if not is_container(prefix):
        return [prefix] * (1 if structure is None else structure.num_leaves)
    leaves, above = optree.tree_flatten(prefix, none_is_leaf=True, namespace=NAMESPACE)
    parts = above.flatten_up_to(tree)
    found = []
    for leaf, part in zip(leaves, parts, strict=True):
        found += [leaf] * len(flatten(part)[0])
    return found

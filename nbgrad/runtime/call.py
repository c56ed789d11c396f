"""A call of a compiled function as one built-in function: Arrays in, nests of Arrays out, no Python between.

For a small program the Python that unwraps arguments and wraps results costs several times what its kernels
do.  The text `call` does both in native code, beside the launches.

Tables (index: meaning)

call     0 None, 1 True, 2 False, 3 numpy.ndarray, 4 -> plan, 5 arguments, 6 parameters, 7 -> parameters,
         8 the class Array, 9 offset of `_node` in it, 10 the class Node, 11 offset of `value` in it,
         12 -> facts, 13 facts, 14 -> steps, 15 steps, 16 the counter behind `serial`, 17 offset of `serial`,
         18 address of PyArray_NewFromDescr, 19 arrays in and out, 20 offset of `shape`, 21 offset of `dtype`,
         22 -> shapes, 23 offset of `history`
fact     0 offset in a Node, 1 object: what all results have in common
step     0 what to make, 1 how many or which one or an object
"""

import ctypes

import numpy

from nbgrad import graph
from nbgrad.array import Array
from nbgrad.graph import Node
from nbgrad.runtime import driver
from nbgrad.runtime.driver import execute, fits, new_reference
from nbgrad.runtime.intrinsics import (
    forget,
    new_dict,
    new_from_descr,
    new_list,
    new_object,
    new_tuple,
    next_item,
    put_into_dict,
    put_into_list,
    put_into_tuple,
    read,
    stack,
    write,
)

#: Words of `stack` that arrays and unfinished results may take.
ROOM = 4000
#: What a step makes.
ARRAY, OBJECT, TUPLE, LIST, DICT, OTHER, NDARRAY = range(7)


# ---------------------------------------------------------------- the texts that are compiled


def wrapped(words, array, k):
    """A new Array around an ndarray, which it takes over."""
    node = new_object(read(words + 80), 0)
    facts = read(words + 96)
    for f in range(read(words + 104)):
        write(node + read(facts + 16 * f), new_reference(read(facts + 16 * f + 8)))
    write(node + read(words + 88), array)
    write(node + read(words + 136), next_item(read(words + 128)))
    write(node + read(words + 160), new_reference(read(read(words + 176) + 8 * k)))
    write(node + read(words + 168), new_reference(read(array + 56)))
    outer = new_object(read(words + 64), 0)
    write(outer + read(words + 72), node)
    return outer


def nested(words, arrays, top):
    """The results, made step by step on a stack that begins at `top`."""
    steps = read(words + 112)
    for s in range(read(words + 120)):
        kind, detail = read(steps + 16 * s), read(steps + 16 * s + 8)
        made = 0
        if kind == 0:
            made = wrapped(words, read(arrays + 8 * detail), detail)
        elif kind == 1:
            made = new_reference(detail)
        elif kind == 6:
            made = read(arrays + 8 * detail)
        elif kind == 4:
            made = new_dict()
            top -= 8 * detail
            for k in range(detail // 2):
                key, value = read(top + 16 * k), read(top + 16 * k + 8)
                put_into_dict(made, key, value)
                forget(key)
                forget(value)
        else:
            top -= 8 * detail
            if kind == 2:
                made = new_tuple(detail)
                for k in range(detail):
                    put_into_tuple(made, k, read(top + 8 * k))
            else:
                made = new_list(detail)
                for k in range(detail):
                    put_into_list(made, k, read(top + 8 * k))
        write(top, made)
        top += 8
    return read(top - 8)


def call(context, argv, count):
    """``call(*arguments)``: the results; None where an argument does not fit or has a history, or the plan is busy."""
    words = read(context + 16)
    plan, values = read(words + 32), stack()
    arguments, parameters, arrays = read(words + 40), read(words + 48), read(words + 152)
    if count != arguments or read(plan) != 0:
        return new_reference(read(words))
    for k in range(arguments):
        value = read(argv + 8 * k)
        if read(value + 8) == read(words + 64):
            node = read(value + read(words + 72))
            if read(node + read(words + 184)) == read(words + 8):
                return new_reference(read(words))
            value = read(node + read(words + 88))
        write(values + 8 * k, value)
    for k in range(parameters):
        value = read(read(words + 56) + 8 * k)
        write(values + 8 * (arguments + k), read(read(value + read(words + 72)) + read(words + 88)))
    inputs = arguments + parameters
    if not fits(plan, values, 0, inputs, read(words + 24)):
        return new_reference(read(words))
    table = read(plan + 16)
    for k in range(inputs, arrays):
        made = table + 32 * k
        dtype, rank, extents = new_reference(read(made)), read(made + 8), read(made + 16)
        value = new_from_descr(read(words + 144), read(words + 24), dtype, rank, extents, 0, 0, 0, 0)
        if value == 0:
            return 0  # MemoryError
        write(values + 8 * k, value)
    execute(plan, values)
    return nested(words, values + 8 * inputs, values + 8 * arrays)


# ---------------------------------------------------------------- as a built-in function


def builtin(compiled, parameters, steps, info):
    """``call`` for a `Compiled`, or None where it does not apply.

    Parameters
    ----------
    compiled : nbgrad.runtime.compiled.Compiled
    parameters : list of Parameter
        Read anew at every call, behind the arguments.
    steps : list of (kind, detail)
        How results are made on a stack: ARRAY k or NDARRAY k; OBJECT o; TUPLE or LIST of the last n; DICT of the last
        n, keys before their values; OTHER (make, n), which is Python's to make.
    info : dict or None
        Facts of all results.
    """
    offsets = _offsets()
    arrays = len(compiled.inputs) + len(compiled.outputs)
    if offsets is None or not compiled.simple or arrays + _depth(steps) > ROOM:
        return None
    if any(bucket is not None for _, _, bucket in compiled.made) or any(kind == OTHER for kind, _ in steps):
        return None  # memory of the pool, containers of a registry
    if all(kind != ARRAY for kind, _ in steps):
        compiled.give_away()
    node = offsets["node"]
    shapes = [shape for shape, _, _ in compiled.made]
    common = {"primitive": None, "inputs": (), "attrs": (), "history": False, "site": None, "info": info}
    facts = [w for name, value in common.items() for w in (node[name], id(value))]
    keep = [compiled, parameters, shapes, steps, common]
    tables = []
    for words in ([id(p) for p in parameters], facts, [id(s) for s in shapes],
                  [w for kind, d in steps for w in (kind, id(d) if kind == OBJECT else d)]):  # fmt: skip
        tables.append(numpy.array(words or [0], numpy.int64))
    owners, facts, shape_table, step_table = tables
    words = [
        *driver.SINGLETONS, compiled.address, len(compiled.inputs) - len(parameters), len(parameters),
        owners.ctypes.data, id(Array), offsets["array"], id(Node), node["value"],
        facts.ctypes.data, len(common), step_table.ctypes.data, len(steps), id(graph.serials), node["serial"],
        _new_from_descr(), arrays, node["shape"], node["dtype"], shape_table.ctypes.data,
        node["history"],
    ]  # fmt: skip
    return driver.method(call, numpy.array(words, numpy.int64), (*keep, *tables))


def _depth(steps):
    """How many results of steps lie on the stack at most."""
    depth = most = 0
    for kind, detail in steps:
        depth += 1 - (detail if kind in (TUPLE, LIST, DICT) else 0)
        most = max(most, depth)
    return most


_found = []


def _offsets():
    """Where CPython keeps the slots of Arrays and Nodes; None where that is not as expected."""
    if not _found:
        node = {name: _offset(Node, name) for name in Node.__slots__}
        array = _offset(Array, "_node")
        probe = Node(None, (), (), (2,), numpy.dtype("f8"))
        seen = all(_word_at(id(probe) + o) == id(getattr(probe, n)) for n, o in node.items())
        _found.append({"node": node, "array": array} if seen and _new_from_descr() else None)
    return _found[0]


def _offset(cls, name):
    """PyMemberDescrObject has a pointer to its PyMemberDef behind four words and a name; the offset is third there."""
    descriptor = cls.__dict__[name]
    return _word_at(_word_at(id(descriptor) + 40) + 16)


def _word_at(address):
    return ctypes.c_int64.from_address(address).value


def _new_from_descr():
    """Entry 94 of NumPy's C API, which its ABI fixes."""
    from numpy._core import _multiarray_umath

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return _word_at(pointer(_multiarray_umath._ARRAY_API, None) + 8 * 94)

"""Run a recorded case on an adapter and say what differs from what is asked of it.

A case is Python source and inputs; its outcome is ``{"result": tree}`` or ``{"error": built-in class}``.  An
adapter is a dict of the names that sources use, ``make(spec, value)`` for inputs, and ``settle(tree)``, which
puts NumPy arrays at the leaves of a result.
"""

import linecache

import numpy

#: Relative to the element or to the largest one.
TOLERANCE = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-11}


def replay(case, names, make, settle):
    """The outcome of a case."""
    source, file = "\n".join(case["source"]) + "\n", f"<{case['id']}>"
    linecache.cache[file] = len(source), None, source.splitlines(True), file
    namespace = {"__name__": "conformance_case", **names}
    exec(compile(source, file, "exec"), namespace)
    try:
        inputs = [make(spec, array(spec)) for spec in case["inputs"]]
        return {"result": settle(namespace["case"](*inputs))}
    except Exception as error:
        builtin = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
        return {"error": builtin.__name__, "message": str(error)}


def array(spec):
    """A NumPy array from dtype, shape and nested lists, in which 'nan' and 'inf' are strings."""
    return numpy.array(spec["value"], spec["dtype"]).reshape(spec["shape"])


def complaints(case, outcome):
    """What is wrong with an outcome; [] when nothing."""
    policy = case.get("nbgrad", {"do": "match"})
    if policy["do"] == "either":
        return []
    want = case["expect"]
    if policy["do"] == "differ":
        want = {"result": policy["expect"]}
    if policy["do"] == "raise" or "error" in want:
        allowed = policy.get("error") or [want["error"]]
        return [] if outcome.get("error") in allowed else [f"got {outcome}, expected an error of {allowed}"]
    if "error" in outcome:
        return [f"got {outcome['error']}: {outcome['message']}"]
    return list(differences(want["result"], outcome["result"], "result"))


def differences(want, got, where):
    """Texts on all that differs between a recorded tree and a real one; containers count."""
    if isinstance(want, dict):
        kind = next(iter(want))
        if kind == "dtype":
            yield from _array_differences(array(want), got, where)
            return
        expected = {"tuple": tuple, "list": list, "dict": dict}[kind]
        if type(got) is not expected:
            yield f"{where}: got a {type(got).__name__}, expected a {kind}"
        elif len(got) != len(want[kind]) or (kind == "dict" and got.keys() != want[kind].keys()):
            yield f"{where}: got {got}, expected {want[kind]}"
        else:
            for key, value in want[kind].items() if kind == "dict" else enumerate(want[kind]):
                yield from differences(value, got[key], f"{where}[{key!r}]")
    elif type(got) is not type(want) or got != want:
        yield f"{where}: got {got!r}, expected {want!r}"


def _array_differences(want, got, where):
    if not isinstance(got, (numpy.ndarray, numpy.generic)):
        yield f"{where}: got {got!r}, expected an array"
        return
    got = numpy.asarray(got)
    if (got.dtype, got.shape) != (want.dtype, want.shape):
        yield f"{where}: got {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
        return
    tolerance = TOLERANCE.get(str(want.dtype), 0)
    finite = want[numpy.isfinite(want)]
    scale = float(numpy.max(numpy.abs(finite), initial=0)) or 1.0
    if not numpy.allclose(got, want, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
        yield f"{where}: got {got.tolist()}, expected {want.tolist()}"

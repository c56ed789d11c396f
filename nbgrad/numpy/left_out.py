"""What NumPy's namespace has and this one has not, and why; and the error for names that are not there."""

import difflib

_PRINTS = "texts are made of values: give it x.numpy()"
_FILES = "files are NumPy's business: read with NumPy, then nbgrad.asarray; write x.numpy()"
_DATES = "there are no dtypes of dates and times"
_TEXT = "there are no dtypes of texts"
_OBJECTS = "there is no dtype of objects"
_EXTENDED = "there are no floats of more than 64 bits"
_MEMORY = "Arrays have no memory of their own that could be looked at"
_STATE = "this is a setting of NumPy itself"
_MATRIX = "matrices are 2-d arrays; @ multiplies them"
_ITERATES = "iterating over elements makes a node for each; write it with whole arrays, or iterate over x.numpy()"
_RECORDS = "there are no dtypes with fields"

#: Name -> why it is not here, and what is nearest to it.
LEFT_OUT = {
    "array2string": _PRINTS,
    "array_repr": "use repr(x)",
    "array_str": "use str(x)",
    "asmatrix": _MATRIX,
    "base_repr": "it is about Python numbers; use numpy.base_repr",
    "binary_repr": "it is about Python numbers; use numpy.binary_repr",
    "bmat": _MATRIX + "; block puts blocks together",
    "broadcast": "use broadcast_arrays or broadcast_shapes",
    "busday_count": _DATES,
    "busday_offset": _DATES,
    "busdaycalendar": _DATES,
    "bytes_": _TEXT,
    "character": _TEXT,
    "clongdouble": _EXTENDED,
    "complex256": _EXTENDED,
    "datetime64": _DATES,
    "datetime_as_string": _DATES,
    "datetime_data": _DATES,
    "errstate": "no floating-point warnings are given here; for NumPy's own use numpy.errstate",
    "flatiter": _ITERATES,
    "flexible": _TEXT,
    "float128": _EXTENDED,
    "format_float_positional": "it is about Python numbers; use numpy.format_float_positional",
    "format_float_scientific": "it is about Python numbers; use numpy.format_float_scientific",
    "fromfile": _FILES,
    "frompyfunc": "functions here take whole arrays; nbgrad.primitives says how to add one",
    "fromregex": _FILES,
    "genfromtxt": _FILES,
    "get_include": _STATE,
    "get_printoptions": "printing follows NumPy's: use numpy.get_printoptions",
    "getbufsize": _STATE,
    "geterr": _STATE,
    "geterrcall": _STATE,
    "is_busday": _DATES,
    "isnat": _DATES,
    "little_endian": _STATE,
    "load": _FILES,
    "loadtxt": _FILES,
    "longdouble": _EXTENDED,
    "matrix": _MATRIX,
    "may_share_memory": _MEMORY,
    "memmap": _FILES,
    "ndarray": "arrays are of the class nbgrad.Array; make one with asarray",
    "ndenumerate": _ITERATES,
    "ndindex": "it is about shapes alone; use numpy.ndindex",
    "nditer": _ITERATES,
    "nested_iters": _ITERATES,
    "object_": _OBJECTS,
    "poly1d": "polynomials are arrays of coefficients; use polyval, polyadd, polymul, roots",
    "printoptions": "printing follows NumPy's: use numpy.printoptions",
    "recarray": _RECORDS,
    "record": _RECORDS,
    "save": _FILES,
    "savetxt": _FILES,
    "savez": _FILES,
    "savez_compressed": _FILES,
    "sctypeDict": "use numpy.sctypeDict",
    "set_printoptions": "printing follows NumPy's: use numpy.set_printoptions",
    "setbufsize": _STATE,
    "seterr": _STATE,
    "seterrcall": _STATE,
    "shares_memory": _MEMORY,
    "show_config": _STATE,
    "show_runtime": _STATE,
    "str_": _TEXT,
    "test": _STATE,
    "timedelta64": _DATES,
    "typecodes": "use numpy.typecodes",
    "ufunc": "functions here are no ufuncs; NumPy's own take Arrays, as in numpy.add.reduce(x)",
    "vectorize": "functions here take whole arrays; nbgrad.vmap applies one to slices",
    "void": _RECORDS,
    # modules
    "char": _TEXT,
    "core": "it is NumPy's own",
    "ctypeslib": _MEMORY,
    "dtypes": "use dtype, or numpy.dtypes",
    "emath": "give complex numbers, as in sqrt(x + 0j)",
    "exceptions": "errors are in nbgrad.errors",
    "f2py": "it is NumPy's own",
    "lib": "it is NumPy's own",
    "ma": "mask with where, or with the nan functions",
    "polynomial": "polynomials are arrays of coefficients; use polyval, polyadd, polymul, roots",
    "random": "draw with numpy.random, then nbgrad.asarray",
    "rec": _RECORDS,
    "strings": _TEXT,
    "testing": "numpy.testing compares Arrays too",
    "typing": "it is NumPy's own",
}


def missing(name, known):
    """The AttributeError for a name that is not in the namespace."""
    if name in LEFT_OUT:
        return AttributeError(f"nbgrad.numpy has no {name}: {LEFT_OUT[name]}")
    close = difflib.get_close_matches(name, known, 3, 0.6)
    nearest = f"; nearest are {', '.join(close)}" if close else ""
    return AttributeError(f"nbgrad.numpy has no {name}{nearest}")

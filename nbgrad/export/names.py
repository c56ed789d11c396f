"""Names: parameters of functions for the leaves of arguments."""

import re

#: Words of C, C++ and Python that no parameter can be called.
_RESERVED = frozenset(
    [
        "and",
        "as",
        "assert",
        "async",
        "auto",
        "await",
        "bool",
        "break",
        "case",
        "char",
        "class",
        "const",
        "continue",
        "def",
        "default",
        "del",
        "delete",
        "do",
        "double",
        "elif",
        "else",
        "enum",
        "except",
        "extern",
        "finally",
        "float",
        "for",
        "from",
        "global",
        "goto",
        "if",
        "import",
        "in",
        "inline",
        "int",
        "int64_t",
        "is",
        "lambda",
        "long",
        "new",
        "nonlocal",
        "not",
        "or",
        "pass",
        "private",
        "public",
        "raise",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "try",
        "typedef",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "with",
        "workspace",
        "yield",
        "False",
        "None",
        "True",
    ]
)


def identifier(text):
    """A text as a name in C and Python."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "x"
    name = f"x{name}" if name[0].isdigit() else name
    return f"{name}_" if name in _RESERVED else name


def identifiers(paths):
    """The same of several, all different."""
    found = []
    for path in paths:
        name = identifier(path)
        while name in found:
            name += "_"
        found.append(name)
    return found

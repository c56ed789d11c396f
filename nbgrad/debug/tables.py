"""Tables as text and as HTML, and quantities as people read them."""

import html


def text(head, rows):
    """Columns side by side, two spaces apart; numbers to the right."""
    rows = [[str(c) for c in row] for row in rows]
    if not rows:
        return ""
    widths = [max(len(r[k]) for r in [head, *rows]) for k in range(len(head))]
    right = [all(r[k][:1].isdigit() or not r[k] for r in rows) for k in range(len(head))]

    def line(row):
        cells = [c.rjust(w) if to_right else c.ljust(w) for c, w, to_right in zip(row, widths, right, strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), *map(line, rows)])


def as_html(head, rows):
    """The same for notebooks."""
    cells = "".join(f"<th style='text-align:left'>{html.escape(str(h))}</th>" for h in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(str(c))}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def size(count):
    """Bytes, in units of a thousand."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError


def seconds(t):
    """A time."""
    return f"{t * 1e6:.3g} us" if t < 1e-3 else f"{t * 1e3:.3g} ms" if t < 1 else f"{t:.3g} s"


def shape(node):
    """``float64[3, 4]``."""
    return f"{node.dtype}[{', '.join(map(str, node.shape))}]"


def cut(name, most=40):
    """A name that fits into a column."""
    return name if len(name) <= most else name[: most - 2] + ".."


def few(items, most=4):
    """Names with commas, a long list cut."""
    shown = [str(i) for i in items[:most]]
    return ", ".join(shown) + (f" and {len(items) - most} more" if len(items) > most else "")

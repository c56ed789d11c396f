"""What NVVM's instructions for numbers mean, as LLVM IR for any machine.

Directed roundings are exact; what the hardware approximates is rounded correctly here, and small numbers are not
flushed to zero.  These are the instructions that the functions of libdevice are made of, not all that there are.
Source: NVIDIA's PTX ISA, sections on floating point and conversion instructions.
"""

import functools
import re

_FLOATS = {"f": ("float", "f32", "i32"), "d": ("double", "f64", "i64")}
#: Of one argument, by the name of the instruction: what computes it, with its type and LLVM's suffix for that.
_ONE = {
    "fabs": "%r = call {t} @llvm.fabs.{m}({t} %a)",
    "floor": "%r = call {t} @llvm.floor.{m}({t} %a)",
    "ceil": "%r = call {t} @llvm.ceil.{m}({t} %a)",
    "trunc": "%r = call {t} @llvm.trunc.{m}({t} %a)",
    "round": "%r = call {t} @llvm.roundeven.{m}({t} %a)",
    "sqrt.rn": "%r = call {t} @llvm.sqrt.{m}({t} %a)",
    "sqrt.approx": "%r = call {t} @llvm.sqrt.{m}({t} %a)",
    "rsqrt.approx": "%s = call {t} @llvm.sqrt.{m}({t} %a)\n  %r = fdiv {t} 1.0, %s",
    "rcp.rn": "%r = fdiv {t} 1.0, %a",
    "rcp.approx": "%r = fdiv {t} 1.0, %a",
    "ex2.approx": "%r = call {t} @llvm.exp2.{m}({t} %a)",
    "lg2.approx": "%r = call {t} @llvm.log2.{m}({t} %a)",
    "sin.approx": "%r = call {t} @llvm.sin.{m}({t} %a)",
    "cos.approx": "%r = call {t} @llvm.cos.{m}({t} %a)",
    "saturate": "%s = call {t} @llvm.maxnum.{m}({t} %a, {t} 0.0)\n  %r = call {t} @llvm.minnum.{m}({t} %s, {t} 1.0)",
}
_TWO = {
    "add.rn": "%r = fadd {t} %a, %b",
    "sub.rn": "%r = fsub {t} %a, %b",
    "mul.rn": "%r = fmul {t} %a, %b",
    "div.rn": "%r = fdiv {t} %a, %b",
    "div.approx": "%r = fdiv {t} %a, %b",
    "fmin": "%r = call {t} @llvm.minnum.{m}({t} %a, {t} %b)",
    "fmax": "%r = call {t} @llvm.maxnum.{m}({t} %a, {t} %b)",
}
#: Instructions of PTX that libdevice has written out, by what only they say: what they are called here.
_PTX = {
    r"rcp\.approx\.ftz\.f32": "rcp.approx.ftz.f",
    r"rsqrt\.approx\.ftz\.f64": "rsqrt.approx.ftz.d",
    r"sub\.rn\.(?:ftz\.)?f32": "sub.rn.f",
    r"sub\.rn\.f64": "sub.rn.d",
    r"setp\.equ\.f64": "select.equal",
    r"mad\.lo\.cc\.u32   \$0": "multiply_add.i32",
    r"mov\.b64         \{clo,chi\}": "multiply_add.i64",
    r"mul\.lo\.u32      r0": "multiply.i64",
    r"add\.cc\.u32      r0": "add.i128",
    r"sub\.cc\.u32      r0": "sub.i128",
}
_ROUNDINGS = {"rz": "trunc", "rn": "roundeven", "rm": "floor", "rp": "ceil"}
#: s + e, exactly, of two numbers (Knuth, The Art of Computer Programming, volume 2, section 4.2.2).
_SUM = """%s = fadd double %p, %q
  %bb = fsub double %s, %p
  %t0 = fsub double %s, %bb
  %t1 = fsub double %p, %t0
  %t2 = fsub double %q, %bb
  %e = fadd double %t1, %t2"""
#: s + e towards 0, as a float64.
_TOWARDS_ZERO = """%above = fcmp ogt double %s, 0.0
  %below = fcmp olt double %s, 0.0
  %less = fcmp olt double %e, 0.0
  %more = fcmp ogt double %e, 0.0
  %one = and i1 %above, %less
  %two = and i1 %below, %more
  %step = or i1 %one, %two
  %i = bitcast double %s to i64
  %j = sub i64 %i, 1
  %k = select i1 %step, i64 %j, i64 %i
  %r = bitcast i64 %k to double"""
#: s + e, where s is a float64, as the next float32 below or at it; of 0 and less the one below is the least denormal.
_BELOW = """%f = fptrunc double %s to float
  %g = fpext float %f to double
  %c0 = fcmp ogt double %g, %s
  %c1 = fcmp oeq double %g, %s
  %c2 = fcmp olt double %e, 0.0
  %c3 = and i1 %c1, %c2
  %high = or i1 %c0, %c3
  %i = bitcast float %f to i32
  %positive = fcmp ogt float %f, 0.0
  %negative = fcmp olt float %f, 0.0
  %i0 = sub i32 %i, 1
  %i1 = add i32 %i, 1
  %n0 = select i1 %negative, i32 %i1, i32 -2147483647
  %n = select i1 %positive, i32 %i0, i32 %n0
  %j = select i1 %high, i32 %n, i32 %i
  %r = bitcast i32 %j to float"""
_HELPERS = f"""define internal float @nbgrad_below(double %s, double %e) {{
  {_BELOW}
  ret float %r
}}
define internal float @nbgrad_above(double %s, double %e) {{
  %t = fneg double %s
  %u = fneg double %e
  %v = call float @nbgrad_below(double %t, double %u)
  %r = fneg float %v
  ret float %r
}}
define internal float @nbgrad_towards(double %s, double %e) {{
  %a = call float @nbgrad_below(double %s, double %e)
  %b = call float @nbgrad_above(double %s, double %e)
  %p = fcmp ogt double %s, 0.0
  %r = select i1 %p, float %a, float %b
  ret float %r
}}
"""
_DIRECTED = {"rm": "below", "rp": "above", "rz": "towards"}


@functools.cache
def definitions():
    """For the name of each instruction, behind ``llvm.nvvm.``, the body of a function (type of its result, types of
    arguments, lines) that has the arguments ``%a`` to ``%d`` and returns ``%r``."""
    made = {}
    for s, (t, m, _) in _FLOATS.items():
        for ftz in ("", ".ftz"):
            for bodies, count in ((_ONE, 1), (_TWO, 2)):
                for name, body in bodies.items():
                    made[f"{name}{ftz}.{s}"] = t, [t] * count, body.format(t=t, m=m)
            made[f"fma.rn{ftz}.{s}"] = t, [t] * 3, f"%r = call {t} @llvm.fma.{m}({t} %a, {t} %b, {t} %c)"
            for name, width, signed in (("i", 32, "s"), ("ui", 32, "u"), ("ll", 64, "s"), ("ull", 64, "u")):
                for mode, rounded in _ROUNDINGS.items():
                    body = (f"%w = call {t} @llvm.{rounded}.{m}({t} %a)\n"
                            f"  %r = call i{width} @llvm.fpto{signed}i.sat.i{width}.{m}({t} %w)")  # fmt: skip
                    made[f"{s}2{name}.{mode}{ftz}"] = f"i{width}", [t], body
    for ftz in ("", ".ftz"):
        for name in ("ex2", "lg2", "sin", "cos"):  # with another suffix
            made[f"{name}.approx{ftz}.f32"] = made[f"{name}.approx{ftz}.f"]
        made[f"fabs{ftz}.f32"], made[f"fabs{ftz}.f64"] = made[f"fabs{ftz}.f"], made[f"fabs{ftz}.d"]
        made[f"d2f.rn{ftz}"] = "float", ["double"], "%r = fptrunc double %a to float"
        for mode, helper in _DIRECTED.items():
            for name, count, parts in (
                ("fma", 3, "%p = fmul double %da, %db\n  %q = fadd double %dc, -0.0"),
                ("mul", 2, "%p = fmul double %da, %db\n  %q = fadd double 0.0, 0.0"),
                ("add", 2, "%p = fadd double %da, -0.0\n  %q = fadd double %db, -0.0"),
            ):
                wide = "\n  ".join(f"%d{x} = fpext float %{x} to double" for x in "abc"[:count])
                body = f"{wide}\n  {parts}\n  {_SUM}\n  %r = call float @nbgrad_{helper}(double %s, double %e)"
                made[f"{name}.{mode}{ftz}.f"] = "float", ["float"] * count, body
    parts = "%p = fadd double %a, -0.0\n  %q = fadd double %b, -0.0"
    made["add.rz.d"] = "double", ["double"] * 2, f"{parts}\n  {_SUM}\n  {_TOWARDS_ZERO}"
    word = "%w = bitcast double %a to i64\n  %h = lshr i64 %w, {}\n  %r = trunc i64 %h to i32"
    made["d2i.lo"], made["d2i.hi"] = (("i32", ["double"], word.format(shift)) for shift in (0, 32))
    made["lohi.i2d"] = "double", ["i32", "i32"], (
        "%l = zext i32 %a to i64\n  %h = zext i32 %b to i64\n  %g = shl i64 %h, 32\n  %w = or i64 %l, %g\n"
        "  %r = bitcast i64 %w to double"
    )  # fmt: skip
    for name, width, grown in (("i", 32, "sext"), ("ui", 32, "zext"), ("ll", 64, "sext"), ("ull", 64, "zext")):
        n, w = f"i{width}", f"i{2 * width}"
        made[f"mulhi.{name}"] = n, [n, n], (
            f"%x = {grown} {n} %a to {w}\n  %y = {grown} {n} %b to {w}\n  %z = mul {w} %x, %y\n"
            f"  %h = lshr {w} %z, {width}\n  %r = trunc {w} %h to {n}"
        )  # fmt: skip
    made["select.equal"] = "double", ["double"] * 4, (
        "%c0 = fcmp ueq double %a, %b\n  %r = select i1 %c0, double %c, double %d"
    )  # fmt: skip
    for n, w, width in (("i32", "i64", 32), ("i64", "i128", 64)):  # halves of integers twice as wide
        pair = f"{{ {n}, {n} }}"
        halves = (f"  %l = trunc {w} %s to {n}\n  %t = lshr {w} %s, {width}\n  %h = trunc {w} %t to {n}\n"
                  f"  %p = insertvalue {pair} undef, {n} %l, 0\n  %r = insertvalue {pair} %p, {n} %h, 1")  # fmt: skip
        product = f"%x = zext {n} %a to {w}\n  %y = zext {n} %b to {w}\n  %m = mul {w} %x, %y\n"
        made[f"multiply_add.{n}"] = (
            pair,
            [n] * 3,
            f"{product}  %z = zext {n} %c to {w}\n  %s = add {w} %m, %z\n{halves}",
        )
        made[f"multiply.{n}"] = pair, [n] * 2, f"{product}  %s = add {w} %m, 0\n{halves}"
    whole = "".join(
        f"%{v}0 = zext i64 %{low} to i128\n  %{v}1 = zext i64 %{high} to i128\n  %{v}2 = shl i128 %{v}1, 64\n"
        f"  %{v} = or i128 %{v}0, %{v}2\n  "
        for v, low, high in (("x", "a", "b"), ("y", "c", "d"))
    )
    for name in ("add", "sub"):
        made[f"{name}.i128"] = pair, ["i64"] * 4, f"{whole}%s = {name} i128 %x, %y\n{halves}"
    return made


def defined(text):
    """LLVM IR that calls such instructions, with functions of its own instead.

    Parameters
    ----------
    text : str
        LLVM IR in which each instruction that is called is declared on a line.
    """
    known, used = definitions(), {}

    def own(match):
        if match[1] not in known:
            return match[0]
        used[match[1]] = known[match[1]]
        return f"@nbgrad_{match[1]}("

    text = re.sub(r'asm (?:sideeffect )?"([^"]*)", "[^"]*"', _named, text)
    text = re.sub(r"@llvm\.nvvm\.([\w.]+)\(", own, text)
    ours = lambda m: "" if m[1] in used else m[0]  # noqa: E731
    text = re.sub(r"^declare [^\n]*@nbgrad_([\w.]+)\([^\n]*\n", ours, text, flags=re.M)
    lines = [_HELPERS]
    for name, (returned, arguments, body) in used.items():
        given = ", ".join(f"{ty} %{x}" for ty, x in zip(arguments, "abcd", strict=False))
        lines.append(f"define internal {returned} @nbgrad_{name}({given}) {{\n  {body}\n  ret {returned} %r\n}}")
    text += "\n" + "\n".join(lines)
    called = re.findall(r"call ([\w]+) (@llvm\.[\w.]+)\(([^\n]*)\)", "\n".join(lines))
    for returned, name, given in sorted(set(called)):
        text += f"\ndeclare {returned} {name}({', '.join(g.split()[0] for g in given.split(', '))})"
    return text + "\n"


def _named(match):
    """An instruction of PTX as one of NVVM; others are left as they are."""
    for pattern, name in _PTX.items():
        if re.search(pattern, match[1]):
            return f"@llvm.nvvm.{name}"
    return match[0]

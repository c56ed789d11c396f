"""Selection: where, maximum, minimum, clip."""

import numpy

from nbgrad.primitive import elementwise


@elementwise(numpy.where, domain="any", casts=("bool", None, None), expression="{1} if {0} else {2}")
def where(x1, x2, x3):
    """x2 where x1 holds, else x3."""
    return x2 if x1 else x3


@where.vjp
def where_vjp(g, x1):
    return None, where(x1, g, 0.0), where(x1, 0.0, g)


@elementwise(numpy.maximum, domain="any")
def maximum(x1, x2):
    """The larger; nan if either is."""
    return x1 if (x1 > x2) | (x1 != x1) else x2


@maximum.vjp
def maximum_vjp(g, x1, x2):
    tie = where(x1 == x2, g * 0.5, 0.0)  # each side takes half: the two still sum to g
    return where(x1 > x2, g, tie), where(x2 > x1, g, tie)


@elementwise(numpy.minimum, domain="any")
def minimum(x1, x2):
    """The smaller; nan if either is."""
    return x1 if (x1 < x2) | (x1 != x1) else x2


@minimum.vjp
def minimum_vjp(g, x1, x2):
    tie = where(x1 == x2, g * 0.5, 0.0)
    return where(x1 < x2, g, tie), where(x2 < x1, g, tie)


@elementwise(numpy.clip, domain="number")
def clip(x1, x2, x3):
    """x1 limited to [x2, x3]."""
    low = x2 if x1 < x2 else x1
    return x3 if low > x3 else low


@clip.vjp
def clip_vjp(g, x1, x2, x3):
    above = maximum(x1, x2) > x3  # the upper bound has the last word, also where it is below the lower one
    low = x1 < x2
    return where(low | above, 0.0, g), where(low & ~above, g, 0.0), where(above, g, 0.0)

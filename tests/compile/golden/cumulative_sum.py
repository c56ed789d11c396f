# cumsum
def kernel(args, start, stop):
    """cumsum"""
    x0 = pointer_float64(args, 0)
    out0 = pointer_float64(args, 1)
    n0 = word(args, 2)
    n1 = word(args, 3)
    cumsum(x0, out0, n0, n1, start, stop)

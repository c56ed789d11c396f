# copy
def kernel(args, start, stop):
    """copy"""
    n0 = word(args, 0)
    x0 = pointer_float64(args, 1)
    y0 = pointer_float64(args, 2)
    for i in range(start, stop):
        x0_v = load(x0, i)
        identity_0 = x0_v
        store(y0, i, identity_0, 0)


# set_slice
def kernel(args, start, stop):
    """set_slice"""
    n0 = word(args, 0)
    x0 = pointer_float64(args, 1)
    y0 = pointer_float64(args, 2)
    x0_v = load(x0, 0)
    identity_0 = x0_v
    for i in range(start, stop):
        store(y0, i, identity_0, 0)

# multiply_add
def kernel(args, start, stop):
    """multiply_add"""
    n0 = word(args, 0)
    n1 = word(args, 1)
    x0 = pointer_float64(args, 2)
    x0_s0 = word(args, 3)
    x1 = pointer_float64(args, 4)
    x2 = pointer_float64(args, 5)
    y0 = pointer_float64(args, 6)
    y0_s0 = word(args, 7)
    for row in range(start, stop):
        x0_row = at(x0, row * x0_s0)
        y0_row = at(y0, row * y0_s0)
        x2_v = load(x2, 0)
        for i in range(0, n1):
            x0_v = load(x0_row, i)
            x1_v = load(x1, i)
            multiply_0 = x0_v * x1_v
            add_1 = multiply_0 + x2_v
            store(y0_row, i, add_1, 0)

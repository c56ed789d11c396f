# multiply
def kernel(args, start, stop):
    """multiply"""
    n0 = word(args, 0)
    n1 = word(args, 1)
    x0 = pointer_float64(args, 2)
    x0_s0 = word(args, 3)
    x0_s1 = word(args, 4)
    x1 = pointer_float64(args, 5)
    x1_s0 = word(args, 6)
    x1_s1 = word(args, 7)
    y0 = pointer_float64(args, 8)
    y0_s0 = word(args, 9)
    for row in range(start, stop):
        x0_row = at(x0, row * x0_s0)
        x1_row = at(x1, row * x1_s0)
        y0_row = at(y0, row * y0_s0)
        for i in range(0, n1):
            x0_v = load(x0_row, i * x0_s1)
            x1_v = load(x1_row, i * x1_s1)
            multiply_0 = x0_v * x1_v
            store(y0_row, i, multiply_0, 0)

# set_slice
def kernel(args, start, stop):
    """set_slice"""
    y = pointer_float64(args, 0)
    width = word(args, 1)
    b = pointer_float64(args, 2)
    x0 = pointer_float64(args, 3)
    x0_s0 = word(args, 4)
    x0_a0 = word(args, 5)
    x0_n0 = word(args, 6)
    for row in range(start, stop):
        y_row = at(y, row * width)
        b_row = at(b, 0)
        for i in range(width):
            store(y_row, i, load(b_row, i), 0)
        x0_row = at(x0, 0)
        for i in range(x0_n0):
            store(y_row, x0_a0 + i, load(x0_row, 0), 0)

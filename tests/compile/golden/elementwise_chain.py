# multiply_exp_add
def kernel(args, start, stop):
    """multiply_exp_add"""
    n0 = word(args, 0)
    x0 = pointer_float64(args, 1)
    x1 = pointer_float64(args, 2)
    x2 = pointer_float64(args, 3)
    y0 = pointer_float64(args, 4)
    x1_v = load(x1, 0)
    for i in range(start, stop):
        x0_v = load(x0, i)
        x2_v = load(x2, i)
        multiply_0 = x0_v * x1_v
        exp_1 = exp_float64(multiply_0)
        add_2 = exp_1 + x2_v
        store(y0, i, add_2, 0)

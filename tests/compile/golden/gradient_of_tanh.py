# tanh_multiply_subtract
def kernel(args, start, stop):
    """tanh_multiply_subtract"""
    n0 = word(args, 0)
    x0 = pointer_float64(args, 1)
    y0 = pointer_float64(args, 2)
    c0 = number_float64(args, 3)
    for i in range(start, stop):
        x0_v = load(x0, i)
        tanh_0 = tanh_float64(x0_v)
        multiply_1 = tanh_0 * tanh_0
        subtract_2 = c0 - multiply_1
        store(y0, i, subtract_2, 0)

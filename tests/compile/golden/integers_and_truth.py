# greater_multiply_negative_where
def kernel(args, start, stop):
    """greater_multiply_negative_where"""
    n0 = word(args, 0)
    x0 = pointer_int32(args, 1)
    x1 = pointer_int32(args, 2)
    x2 = pointer_int32(args, 3)
    y0 = pointer_int32(args, 4)
    x1_v = load(x1, 0)
    x2_v = load(x2, 0)
    for i in range(start, stop):
        x0_v = load(x0, i)
        greater_0 = x0_v > x1_v
        multiply_1 = to_int32(x0_v * x2_v)
        negative_2 = to_int32(-x0_v)
        where_3 = multiply_1 if greater_0 else negative_2
        store(y0, i, where_3, 0)

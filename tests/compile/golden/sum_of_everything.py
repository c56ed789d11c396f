# multiply_sum
def kernel(args, start, stop):
    """multiply_sum"""
    n0 = word(args, 0)
    x0 = pointer_float64(args, 1)
    r0 = pointer_float64(args, 2)
    partial0 = pointer_float64(args, 3)
    first0 = number_float64(args, 4)
    mode = word(args, 5)
    grain = word(args, 6)
    chunks = word(args, 7)
    rows = 1
    if mode == 2:
        for row in range(start, stop):
            total0 = first0
            lost0 = first0
            for c in range(chunks):
                p0 = load(partial0, c * rows + row)
                s0 = total0 + p0
                z0 = s0 - total0
                lost0 = lost0 + ((total0 - (s0 - z0)) + (p0 - z0))
                total0 = s0
            store(r0, row, (total0 + lost0 if lost0 == lost0 else total0), 0)
        return
    first_row, last_row, low, high, slot = start, stop, 0, n0, 0
    if mode == 1:
        first_row, last_row, low, high, slot = 0, rows, start, stop, start // grain * rows
    for row in range(first_row, last_row):
        total0 = first0
        lost0 = first0
        from_, to_ = low, high
        for block in range(from_, to_, 256):
            end = min(block + 256, to_)
            part0 = first0
            for i in range(block, end):
                x0_v = load(x0, i)
                multiply_0 = x0_v * x0_v
                part0 = add_fast(part0, multiply_0)
            if block == from_:
                total0 = part0
            else:
                s0 = total0 + part0
                z0 = s0 - total0
                lost0 = lost0 + ((total0 - (s0 - z0)) + (part0 - z0))
                total0 = s0
        store(r0, slot + row, (total0 + lost0 if lost0 == lost0 else total0), 0)

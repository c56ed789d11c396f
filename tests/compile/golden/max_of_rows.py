# absolute_max
def kernel(args, start, stop):
    """absolute_max"""
    n0 = word(args, 0)
    n1 = word(args, 1)
    x0 = pointer_float64(args, 2)
    x0_s0 = word(args, 3)
    r0 = pointer_float64(args, 4)
    r0_s0 = word(args, 5)
    partial0 = pointer_float64(args, 6)
    first0 = number_float64(args, 7)
    mode = word(args, 8)
    grain = word(args, 9)
    chunks = word(args, 10)
    rows = n0
    if mode == 2:
        for row in range(start, stop):
            total0 = first0
            for c in range(chunks):
                p0 = load(partial0, c * rows + row)
                total0 = larger(total0, p0)
            store(r0, row, total0, 0)
        return
    first_row, last_row, low, high, slot = start, stop, 0, n1, 0
    if mode == 1:
        first_row, last_row, low, high, slot = 0, rows, start, stop, start // grain * rows
    for row in range(first_row, last_row):
        x0_row = at(x0, row * x0_s0)
        total0 = first0
        from_, to_ = low, high
        for block in range(from_, to_, 256):
            end = min(block + 256, to_)
            part0 = first0
            for i in range(block, end):
                x0_v = load(x0_row, i)
                absolute_0 = absolute_float64(x0_v)
                part0 = larger(part0, absolute_0)
            if block == from_:
                total0 = part0
            else:
                total0 = larger(total0, part0)
        store(r0, slot + row, total0, 0)

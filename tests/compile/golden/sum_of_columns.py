# sum
def kernel(args, start, stop):
    """sum"""
    n0 = word(args, 0)
    n1 = word(args, 1)
    x0 = pointer_float32(args, 2)
    x0_s0 = word(args, 3)
    r0 = pointer_float32(args, 4)
    partial0 = pointer_float32(args, 5)
    first0 = number_float32(args, 6)
    blocks = (n1 + 1023) // 1024
    mode = word(args, 7)
    grain = word(args, 8)
    chunks = word(args, 9)
    rows = n1
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
    last_row = last_row if mode == 0 else blocks
    for tile in range(first_row, last_row):
        row = tile // blocks
        from_ = tile % blocks * 1024
        to_ = min(from_ + 1024, n1)
        base = slot + row * n1
        for i in range(from_, to_):
            store(r0, base + i, first0, 0)
        for q in range(low, high):
            x0_q = at(x0, q * x0_s0)
            for i in range(from_, to_):
                x0_v = load(x0_q, i)
                store(r0, base + i, load_own(r0, base + i, 0) + x0_v, 0)

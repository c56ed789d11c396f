"""What array kernels read and write: elements behind pointers."""

from nbgrad.kernels._intrinsics import Intrinsic


@Intrinsic
def get():
    """``get(pointer, index)``: an element."""
    from nbgrad.compile import abi

    return abi.load_plain


@Intrinsic
def put_at():
    """``put_at(pointer, index, value)``: write an element."""
    from nbgrad.compile import abi

    return abi.store_plain

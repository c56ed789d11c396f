"""Which other libraries see the GPU."""


def _cupy():
    import cupy

    return cupy.cuda.is_available()


def _torch():
    import torch

    return torch.cuda.is_available()


def _jax():
    import jax

    return jax.default_backend() == "gpu"


def why_not(name):
    """Why a library cannot be used, or None."""
    try:
        there = {"cupy": _cupy, "torch": _torch, "jax": _jax}[name]()
    except ImportError as error:
        return f"{name} is not installed ({error})"
    return None if there else f"{name} is installed without a GPU that it can use"

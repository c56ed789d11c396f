"""The CUDA target of the compiler: nests as kernels over a grid, their NVVM IR, and PTX.

Nothing here needs a GPU or a driver, and nothing is imported before a CUDA device is asked for.
"""

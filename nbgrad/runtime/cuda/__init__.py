"""Running on CUDA devices: memory, streams, exchange with other libraries, and compiled programs.

Nothing of this is imported before a CUDA device is asked for, and only `driver` imports NVIDIA's bindings.
"""

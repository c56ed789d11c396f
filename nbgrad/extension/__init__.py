"""What users make primitives with: kernels of arrays, calls of Python functions, and what others have compiled."""

"""Sparse derivatives: which elements of a matrix can be nonzero, and how to compute them all in few sweeps."""

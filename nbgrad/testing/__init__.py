"""Aids for tests of kernels: not imported by nbgrad itself."""

"""Programs outside of the array world: called by Numba's functions, by address, and from C."""

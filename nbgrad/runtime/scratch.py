"""Scratch memory of a thread: it grows to what was asked for, and is the thread's as long as it lives."""

import ctypes
import functools

from nbgrad.runtime.intrinsics import allocate, free, get_of_thread, read, set_of_thread, write


def scratch(key, size, unused):
    """The address of so many bytes, which are this thread's until it asks again; 0 if there are none."""
    kept = get_of_thread(key)
    if kept != 0:
        if read(kept) >= size:
            return kept + 64
        free(kept)
    made = allocate(size + 64)
    set_of_thread(key, made)
    if made == 0:
        return 0
    write(made, size)
    return made + 64


@functools.cache
def key():
    """Under which threads keep theirs; it is freed when they end."""
    process, made = ctypes.CDLL(None), ctypes.c_uint32()
    release = ctypes.cast(process.free, ctypes.c_void_p)
    if process.pthread_key_create(ctypes.byref(made), release):
        raise MemoryError("no key for memory of threads is left: pthread_key_create failed")
    return made.value

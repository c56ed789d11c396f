"""Sizes of blocks in the simulator, in which a thread is a Python thread and a barrier costs milliseconds."""

import pytest


@pytest.fixture
def small_blocks(monkeypatch):
    """Kernels for blocks of two warps: they compute the same, and go through the same barriers."""
    from nbgrad.compile.cuda import lower, rows, scatter, teams

    for module in (lower, rows, scatter, teams):
        monkeypatch.setattr(module, "BLOCK", 64)

"""Patterns miss no entry: against the nonzeros of dense Jacobians, for every primitive and for random functions."""

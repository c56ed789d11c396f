"""Reverse-mode differentiation of graphs and functions."""

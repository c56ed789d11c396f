"""Control flow that is part of a graph: loops whose steps are a graph of their own."""

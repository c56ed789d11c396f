"""From a graph to a Program."""

"""vmap: a function of one example as a function of many, by rules that say what a primitive is of stacked operands."""

"""Running Programs: interpreter, driver, buffers, threads."""

"""One module per command, start to end; the only modules that see every package."""

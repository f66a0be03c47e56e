"""The engine in a process of its own, which serves CellProfiler's modules where it cannot be imported beside them."""

"""CellProfiler run as a process of its own, and the demonstration that compares the classic and the deep module."""

"""Screens that NucDL does alone, without CellProfiler, in one watched process."""

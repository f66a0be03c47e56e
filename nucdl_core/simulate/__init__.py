"""Simulated fluorescence fields and plates whose nuclei are known exactly."""

"""Adaptation of a model to images that nobody annotated."""

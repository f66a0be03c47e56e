"""Folders of image files through the engine, one image after the other."""

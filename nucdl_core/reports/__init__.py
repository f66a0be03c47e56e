"""Folders of label images compared with the truth: tables, figures, pictures with outlines, one HTML page."""

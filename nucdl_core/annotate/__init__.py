"""Annotation of nuclei by a person whom the model helps: contours from rough lines, edits, what is saved and shown."""

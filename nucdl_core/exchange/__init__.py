"""Annotations of other programs in and out: ROI sets, COCO, QuPath, masks, tables, stacks and label images.

Everything is read into `objects.AnnotatedObjects`, one small mask per nucleus, so that nuclei that overlap stay whole,
and written from there. `formats` lists the formats, `conversion` goes from one to another, and `annotations` gives
label images to other parts of the program.
"""

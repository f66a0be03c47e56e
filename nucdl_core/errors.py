"""The errors that the engine raises on purpose.

Every message says what came, what was expected and what to do. A caller that catches `NucDLError`
catches all of them and nothing else.
"""

from __future__ import annotations


class NucDLError(Exception):
    """Base class of all errors that the engine raises on purpose."""


class ConfigError(NucDLError, ValueError):
    """A setting is unknown or outside its range."""


class ImageError(NucDLError, ValueError):
    """An image or a label image cannot be read or has a content that cannot be used."""


class AnnotationError(NucDLError, ValueError):
    """An annotation cannot be changed in the way that was asked for, or a saved one cannot be used."""


class BundleError(NucDLError):
    """A model bundle is missing, damaged, altered or not understood."""


class DeviceError(NucDLError, RuntimeError):
    """A computing device was asked for that is not there."""


class OutOfMemoryError(NucDLError, RuntimeError):
    """The free memory of a device does not suffice even for the smallest tiles."""

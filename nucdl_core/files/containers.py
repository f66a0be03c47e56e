"""Files of microscopes that are read by a package of their own: which there are, and how each is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.extras import EXTRAS, install_line, lacking
from nucdl_core.files.nikon import nd2_plane, nd2_sizes
from nucdl_core.files.ome_zarr import ZARR_SUFFIX, is_ome_zarr, zarr_plane, zarr_sizes
from nucdl_core.files.zeiss import czi_plane, czi_sizes


@dataclass(frozen=True)
class Container:
    """A kind of files with many planes.

    Attributes
    ----------
    name : str
    extra : str
        That brings the package, see `extras.EXTRAS`.
    sizes : callable
        Gives the numbers of time points, channels and planes of each series of a file.
    plane : callable
        Reads a plane of a file: series, time point, channel and plane, from 0.
    """

    name: str
    extra: str
    sizes: Callable[[Path], List[Tuple[int, int, int]]]
    plane: Callable[[Path, int, int, int, int], AnyArray]

    def require(self) -> None:
        """Refuse the file where the package is not installed.

        Raises
        ------
        ImageError
            With the line that installs it.
        """
        if lacking(self.extra):
            packages = ", ".join(EXTRAS[self.extra][0])
            raise ImageError(f"{self.name} is read by {packages}: {install_line(self.extra)}; or export it as TIFF")


CONTAINERS: Dict[str, Container] = {
    ZARR_SUFFIX: Container("OME-Zarr", "zarr", zarr_sizes, zarr_plane),
    ".czi": Container("CZI", "czi", czi_sizes, czi_plane),
    ".nd2": Container("ND2", "nd2", nd2_sizes, nd2_plane),
}
"""By the suffix of their names."""


def container_of(path: Path) -> Optional[Container]:
    """Return the kind of a file, or None where it is read as an image file."""
    if is_ome_zarr(path):
        return CONTAINERS[ZARR_SUFFIX]
    return CONTAINERS.get(path.suffix.lower())


def readable_containers() -> Tuple[str, ...]:
    """Return the suffixes of those whose packages are installed."""
    return tuple(suffix for suffix, kind in CONTAINERS.items() if not lacking(kind.extra))

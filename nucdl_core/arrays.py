"""The array types that the engine passes around.

Words: *labels* are int32 with 0 for background and 1..N for nuclei; a *mask* is bool; a *probability* is a
float32 map in [0, 1]; *scores* are one float32 per nucleus. Shapes are ``(H, W)`` or ``(C, H, W)``, positions
``(row, col)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
AnyArray = NDArray[Any]

"""FLAME: the user's own model file, read without running what is in it, and posed with plain numpy.

No part of FLAME comes with this package. :func:`read_flame` reads the file, :class:`FlameMesh` poses it,
:class:`FlameFace` draws it, and :func:`fit_expression` tells what its expression is in the shapes of the
default head.
"""

from renderers.flame.mesh import FlameMesh
from renderers.flame.model_file import FlameModel, read_flame

__all__ = ["FlameMesh", "FlameModel", "read_flame"]

"""FLAME: the user's own model file, read without running what is in it, and posed with plain numpy.

No part of FLAME comes with this package. :func:`read_flame` reads the file, :class:`FlameMesh` poses it,
:class:`FlameMeshFace` draws it as it is, and :func:`load_fit` tells what its expression is in the shapes of
the default head, which then speaks with FLAME's mouth:
``HeadFace(driver=FaceDriver(expression=load_fit("generic_model.pkl")))``.
"""

from renderers.flame.fit import FitReport, fit_expression, fit_file, load_fit
from renderers.flame.mesh import FlameMesh
from renderers.flame.mesh_face import FlameMeshFace
from renderers.flame.model_file import FlameModel, read_flame

__all__ = [
    "FitReport",
    "FlameMesh",
    "FlameMeshFace",
    "FlameModel",
    "fit_expression",
    "fit_file",
    "load_fit",
    "read_flame",
]

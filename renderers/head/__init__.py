"""The default face: a 3D head, drawn with numpy and OpenCV."""

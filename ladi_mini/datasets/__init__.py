"""Real pictures as `TryOnSample`: VITON-HD, Dress Code, and one's own photographs."""

from ladi_mini.datasets.dresscode import DressCode
from ladi_mini.datasets.photo import load_photo
from ladi_mini.datasets.vitonhd import VitonHD

__all__ = ["DressCode", "VitonHD", "load_photo"]

"""The wardrobe: drawn people in drawn garments, with the true warp and the true picture of every person in every garment.

    captions   words: what a garment is made of, and the sentence that says it
    canvas     antialiased polygons and curves
    letters    printed letters and digits as strokes
    people     bodies and poses
    faces      faces and hair
    garments   garments lying flat, cut into panels
    dressing   the true warp part by part; the drawn sample as arrays
    dataset    tensors: `sample`, `Wardrobe`, `packed`

The drawing imports neither torch nor anything that does, so that worker processes start fast; what needs torch is
imported on first use.
"""

from ladi_mini.wardrobe.captions import VOCABULARY, Attributes, caption

__all__ = ["RECIPE_VERSION", "VOCABULARY", "Attributes", "Packed", "Wardrobe", "caption", "packed", "sample"]


def __getattr__(name: str):
    if name in __all__:
        from ladi_mini.wardrobe import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

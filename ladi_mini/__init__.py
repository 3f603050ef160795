"""LaDI-VTON, built piece by piece: virtual try-on with latent diffusion, small enough to study.

The modules read in the order of the lessons, and a module imports only from those before it:
errors, presets, sample, agnostic, wardrobe, datasets, clip, inversion, warping, diffusion, emasc,
attention, pipeline, cards, sums, released, checkpoints, training, evaluation, show, course, cli.
"""

__version__ = "0.1.0"

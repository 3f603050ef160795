"""Training: one loop, one file a stage, in the order of `presets.STAGES`; each stage is frozen before the next."""

from ladi_mini.training.loop import Interrupted, train_stage
from ladi_mini.training.stage import Stage
from ladi_mini.training.stages import STAGE_CLASSES, train

__all__ = ["STAGE_CLASSES", "Interrupted", "Stage", "train", "train_stage"]

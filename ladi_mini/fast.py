"""The same picture sooner, or with less memory: what a GPU asks for.

Lesson "Full size". Nothing here changes what is computed; `tests/test_fast.py` holds each of these equal to the plain path.

Choices made here
- Compiling is the user's choice: the first call of each batch size takes the time that the card of `ladi-mini bench full` tells.
- At batch 1 a GPU waits for Python, which asks for each of a step's many small kernels by itself. `torch.compile` merges them
  and records a step as one CUDA graph ("reduce-overhead"). At large batches the arithmetic dominates, and "default" saves memory.
- Only what costs is compiled: the denoiser, the encoders' layers, both halves of the autoencoder, the refinement; module by
  module, in place, and it can be taken back (`plain_pipeline`), which is also how to save it.
- Of the denoiser's 3z + 19 input channels all but z stay the same over the steps. The first convolution is linear, so its part of
  those is computed once and added (`SplitConv`).
- A graph writes its results over those of its last run, so that results are copied out before anyone sees them.
"""

from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_map_only

from ladi_mini.diffusion import Conditions

PARTS = ("unet", "vae", "clip", "refinement")


class SplitConv(nn.Conv2d):
    """A first convolution that also takes [the `moving` first channels, what `settle` made of the others]."""

    @classmethod
    def of(cls, conv: nn.Conv2d, moving: int) -> "SplitConv":
        """The same convolution, sharing the parameters of `conv`."""
        with torch.device("meta"):
            split = cls(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding)
        split.weight, split.bias, split.moving = conv.weight, conv.bias, moving
        return split.train(conv.training)

    def settle(self, static: torch.Tensor) -> torch.Tensor:
        """This layer's part of the channels that stay, with the bias: (B, out, h, w) of (B, in - moving, h, w)."""
        return F.conv2d(static, self.weight[:, self.moving :], self.bias, padding=self.padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] == self.in_channels:
            return super().forward(x)
        moving, settled = x.split([self.moving, self.out_channels], dim=1)
        return F.conv2d(moving, self.weight[:, : self.moving], padding=self.padding) + settled


def settle(unet: nn.Module, given: Conditions) -> Conditions:
    """`given` with its static channels already through the first convolution, if that is a `SplitConv`; else as it is."""
    if not isinstance(unet.conv_in, SplitConv):
        return given
    return Conditions(unet.conv_in.settle(given.static), given.text)


def compile_pipeline(pipe, mode: str = "reduce-overhead", parts: Collection[str] = PARTS, backend: str = "inductor"):
    """Compiles the costly steps of a `TryOnPipeline` in place and returns it; called again, the last choice holds.

    mode: "reduce-overhead" for one or few pictures at a time, "default" for many, or another one of torch.compile. parts: of
    `PARTS`; a part that is left away stays plain. It is the first call of each batch size that takes the time. Move and cast
    the pipeline first. Also lets cuDNN find its quickest convolutions by trying, for the whole process. Raises `ValueError`
    for an unknown part and for a pipeline in low-memory mode.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ValueError(f"parts hold {unknown[0]!r}: choose from {PARTS}")
    if any(hasattr(module, "_hf_hook") for module in pipe.components.values()):
        raise ValueError("modules of this pipeline come and go (low_memory): a compiled one needs them in place; load it again")
    plain_pipeline(pipe)

    def compiled(function: Callable) -> Callable:
        return _compiled(function, mode, backend)

    if "unet" in parts:
        pipe.unet.conv_in = SplitConv.of(pipe.unet.conv_in, pipe.unet.config.out_channels)
        pipe.unet.fuse_qkv_projections()  # one product for queries, keys and values
    if "vae" in parts:
        pipe.encode_picture, pipe.decode_latents = compiled(pipe.encode_picture), compiled(pipe.decode_latents)
    for module in _modules(pipe, parts):
        module.to(memory_format=torch.channels_last)  # the order of numbers that convolutions on tensor cores read
        module.forward = compiled(module.forward)
    pipe.vae.to(memory_format=torch.channels_last)
    pipe.emasc.to(memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True
    return pipe


def plain_pipeline(pipe):
    """Takes `compile_pipeline` back, but for the memory's order, and returns the pipeline; plain ones stay as they are."""
    for module in _modules(pipe, PARTS):
        module.__dict__.pop("forward", None)
    for name in ("encode_picture", "decode_latents"):
        pipe.__dict__.pop(name, None)
    if isinstance(conv := pipe.unet.conv_in, SplitConv):
        with torch.device("meta"):
            whole = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding)
        whole.weight, whole.bias = conv.weight, conv.bias
        pipe.unet.conv_in = whole
        pipe.unet.unfuse_qkv_projections()
        for module in pipe.unet.modules():  # diffusers leaves the joint weights beside the single ones
            for name in {"to_qkv", "to_kv"} & set(module._modules):
                delattr(module, name)
    return pipe


def low_memory(pipe, device: torch.device | str = "cuda"):
    """Keeps each module in main memory and on `device` only while it is its turn; returns the pipeline.

    The switch for small GPUs, diffusers' model offload: slower by the time that the modules travel. Give it a pipeline on the
    CPU, in half precision. Raises `ValueError` for a compiled one.
    """
    if any("forward" in module.__dict__ for module in _modules(pipe, PARTS)):
        raise ValueError("this pipeline is compiled: its modules must stay in place; load it again for low_memory")
    pipe.enable_model_cpu_offload(device=device)
    return pipe


def _modules(pipe, parts: Collection[str]) -> list[nn.Module]:
    """The modules of `parts` whose `forward` is compiled; the autoencoder's halves are functions of the pipeline."""
    text = getattr(pipe.text_encoder, "text_model", pipe.text_encoder)  # a level that some releases of transformers have
    modules = {
        "unet": [pipe.unet],
        "vae": [],
        "clip": [pipe.image_encoder.vision_model.encoder, text.encoder],
        "refinement": [pipe.refinement],
    }
    return [module for part in PARTS if part in parts for module in modules[part]]


def _compiled(function: Callable, mode: str, backend: str) -> Callable:
    """`function` compiled: for one order in memory of its first tensor, since each would be compiled anew, and with results that
    its next run does not overwrite."""
    options = {"mode": mode} if backend == "inductor" else {}
    run = torch.compile(function, backend=backend, dynamic=False, **options)

    def call(*args, **kwargs):
        if args:
            args = (args[0].contiguous(), *args[1:])
        if mode == "default":  # no graphs
            return run(*args, **kwargs)
        torch.compiler.cudagraph_mark_step_begin()
        return tree_map_only(torch.Tensor, torch.clone, run(*args, **kwargs))

    return call

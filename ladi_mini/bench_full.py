"""How fast the full model is on one GPU: the plain path and the compiled one, side by side in one run.

Choices made here
- Speed depends on sizes alone, so the weights are made up: each tensor is drawn by its name, as in the reference vectors of the
  tests. Signals keep their size through such a network, so that a wrong picture is seen. The tokenizer is a small stand-in.
- Plain is `TryOnPipeline` as it is, in half precision (the warp and its refinement in float32); ours is the same pipeline after
  `compile_pipeline`. What is right is said by a third run, in float32 without shortcuts of the matrix units.
- A time is from the loaded sample in main memory to the decoded picture on the device, by the clock, with all work done before
  and after; the median of repeats after warm-up. Seconds a step are the slope between one step and all.
- Peak is what a large matrix product reaches in the same run; the arithmetic is counted by torch's own counter.
- A section that fails leaves its error in the card, one that no longer fits into the time is left out, and the card is written
  after each: a rented GPU is paid for once.
"""

import gc
import json
import os
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import log10, prod
from pathlib import Path
from statistics import median

import diffusers
import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextModel, CLIPVisionModelWithProjection

from ladi_mini.cards import circumstances, write_card
from ladi_mini.clip import RELEASED_VOCABULARY, build_tokenizer, image_encoder_config, text_encoder_config
from ladi_mini.diffusion import build_autoencoder, build_scheduler
from ladi_mini.fast import PARTS, compile_pipeline, low_memory, plain_pipeline
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import FULL, Preset
from ladi_mini.released import BUILDERS
from ladi_mini.sample import TryOnBatch, collate
from ladi_mini.wardrobe import Wardrobe

SALT = "ladi-vton/public"
PREFIXES = {  # a component's name in the names of its numbers
    "vae": "vae", "emasc": "emasc", "warping": "tps", "refinement": "refinement", "image_encoder": "image_encoder",
    "inversion_adapter": "inversion_adapter", "text_encoder": "text_encoder.text_model", "unet": "unet",
}  # fmt: skip
BUILD = BUILDERS | {
    "vae": build_autoencoder,
    "text_encoder": lambda preset: CLIPTextModel(text_encoder_config(preset)),
    "image_encoder": lambda preset: CLIPVisionModelWithProjection(image_encoder_config(preset)),
}
EXACT = ("warping", "refinement")  # stay float32, as in `load_released`
SHORT = {"DDIM": "DDIMScheduler", "DPM-Solver++": "DPMSolverMultistepScheduler", "UniPC": "UniPCMultistepScheduler"}
KERNELS = {  # what a GPU kernel is for, by what its name holds; the first that fits
    "fused by the compiler": ("triton_",),
    "attention": ("flash", "fmha", "sdpa", "attention"),
    "convolutions": ("fprop", "conv", "wgrad", "dgrad", "implicit"),
    "matrix products": ("gemm", "nvjet", "cutlass", "gemv", "splitk"),
    "copies and changes of order": ("copy", "memcpy", "memset", "transpose", "nchw", "nhwc", "cat"),
    "normalisation": ("norm", "moments", "welford"),
}
Work = Callable[[], object]

# ---------------------------------------------------------------- the model


def draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The float32 weights called `name`, of a size that keeps signals about 1; the same numbers on every machine."""
    r = torch.from_numpy(np.random.RandomState(zlib.crc32(f"{SALT}/{name}".encode())).standard_normal(shape)).float()
    if name.endswith("running_var"):
        return 1 + 0.1 * r.abs()
    if name.endswith(("running_mean", "bias")):
        return 0.1 * r
    return 1 + 0.1 * r if len(shape) == 1 else r / prod(shape[1:]) ** 0.5


def draw_weights(preset: Preset) -> dict[str, dict[str, torch.Tensor]]:
    """Every parameter and running statistic, float32 on the CPU, by component and name; drawn on all cores."""
    shapes = {}
    for component, build in BUILD.items():
        with torch.device("meta"):
            module = build(preset)
        tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        kept = {n: tuple(t.shape) for n, t in tensors.items() if n in dict(module.named_parameters()) or "running_" in n}
        shapes |= {(component, n): shape for n, shape in kept.items()}
    order = sorted(shapes, key=lambda key: -prod(shapes[key]))  # the largest first, so that no core ends late
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = pool.map(lambda key: draw(f"{PREFIXES[key[0]]}.{key[1]}", shapes[key]), order)
        weights: dict[str, dict[str, torch.Tensor]] = {component: {} for component in BUILD}
        for (component, name), tensor in zip(order, drawn, strict=True):
            weights[component][name] = tensor
    return weights


@torch.no_grad()
def build_pipeline(preset: Preset, weights: dict, device: torch.device | str, dtype: torch.dtype) -> TryOnPipeline:
    """The pipeline in the released convention with `weights`, on `device`, in `dtype` but for `EXACT`."""
    parts = {}
    for component, build in BUILD.items():
        with torch.device(device):
            module = build(preset)
        if component not in EXACT and dtype != torch.float32:
            module = module.to(dtype)
        module.eval().requires_grad_(False)
        own = dict(module.named_parameters()) | dict(module.named_buffers())
        for name, value in weights[component].items():
            own[name].copy_(value)
        parts[component] = module
    stand_in = preset.with_(vocab_size=1024) if preset.vocab_size == RELEASED_VOCABULARY else preset
    pipe = TryOnPipeline(
        **parts, tokenizer=build_tokenizer(stand_in), scheduler=build_scheduler(preset), convention="released",
        num_inference_steps=preset.num_inference_steps, guidance_scale=preset.guidance_scale,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


# ---------------------------------------------------------------- the run


@dataclass
class Bench:
    """One run: its settings, the card so far, and what one section leaves for the next."""

    preset: Preset
    device: torch.device
    half: torch.dtype
    steps: int
    batch: int
    repeats: int
    budget: float
    backend: str
    path: Path | None
    progress: Callable[[str], None]
    began: float = field(default_factory=time.perf_counter)
    card: dict = field(default_factory=dict)
    people: TryOnBatch | None = None
    batches: dict[int, TryOnBatch] = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    pipe: TryOnPipeline | None = None
    picture: torch.Tensor | None = None  # the float32 run's, and its latents after each step
    trail: list[torch.Tensor] = field(default_factory=list)

    @property
    def left(self) -> float:
        return self.budget - (time.perf_counter() - self.began)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def start(self, count: int) -> torch.Tensor:
        """The first noise of `count` pictures, the same for every run."""
        shape = (count, self.preset.latent_channels, *self.preset.latent_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)

    def call(self, pipe: TryOnPipeline, count: int = 1, steps: int | None = None, callback=None) -> torch.Tensor:
        """`count` pictures (count, 3, H, W) in [0, 1], on the device."""
        if count not in self.batches:
            self.batches[count] = self.people.select([i % len(self.people) for i in range(count)])
        steps = self.steps if steps is None else steps
        return pipe(self.batches[count], steps, latents=self.start(count), callback=callback, output_type="pt").images

    def write(self):
        if self.path is not None:
            write_card(self.path, self.card)


def bench_full(
    preset: Preset = FULL,
    device: torch.device | str = "cuda",
    steps: int | None = None,
    batch: int = 32,
    repeats: int = 5,
    budget: float = 440.0,
    path: Path | None = None,
    progress: Callable[[str], None] = print,
    backend: str = "inductor",
) -> dict:
    """The card, written to `path` after every section; see the module docstring.

    `steps` of the sampler (the preset's if None); `batch` pictures at once for the throughput; `budget`: seconds after which
    no further section begins. `progress` is called with a line before each section. On a CPU in float32, without memory.
    """
    device = torch.device(device)
    half = torch.float16 if device.type == "cuda" else torch.float32
    steps = preset.num_inference_steps if steps is None else steps
    b = Bench(preset, device, half, steps, batch, repeats, budget, backend, path, progress)
    b.card = {
        "what": "from the loaded sample to the decoded picture, made-up weights, plain and compiled path in one run",
        "preset": preset.name, "size": [preset.height, preset.width], "scheduler": "DDIM", "num_inference_steps": steps,
        "guidance_scale": preset.guidance_scale, "precision": str(half).removeprefix("torch."), "repeats": repeats,
        "sections": {}, **circumstances(device),
    }  # fmt: skip
    if b.on_gpu:
        b.card["cuda"], b.card["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    for section, needs in SECTIONS.items():
        run_section(b, section, needs)
    return b.card


def run_section(b: Bench, section: Callable[[Bench], dict | None], needs: float):
    """Runs a section if `needs` seconds are left; what it returns, or why it returned nothing, goes into the card."""
    name, began = section.__name__, time.perf_counter()
    state = b.card["sections"][name] = {}
    if b.left < needs:
        state["left_out"] = f"{b.left:.0f} s were left, it takes about {needs:.0f}"
    else:
        b.progress(f"{name} ({b.left:.0f} s left)")
        try:
            found = section(b)
            if found is not None:
                b.card[name] = found
                b.progress(json.dumps(found)[:3000])  # what is printed survives what happens to the file
        except Exception as error:  # one section must not cost the others
            state["error"] = f"{type(error).__name__}: {error}"[:2000]
            b.progress(traceback.format_exc())
        state["seconds"] = round(time.perf_counter() - began, 1)
    gc.collect()
    if b.on_gpu:
        torch.cuda.empty_cache()
    b.write()


# ---------------------------------------------------------------- the sections, in their order


def machine(b: Bench) -> dict:
    """The ceilings: a large matrix product and a large copy."""
    side = 8192 if b.on_gpu else 256
    found = {"matrix_side": side}
    for dtype in (torch.float16, torch.bfloat16) if b.on_gpu else (torch.float32,):
        x, y = (torch.randn(side, side, device=b.device).to(dtype) for _ in range(2))
        seconds = timed(b, lambda x=x, y=y: [x @ y for _ in range(10)], 3)["median"] / 10
        found[f"{str(dtype).removeprefix('torch.')}_tflops"] = round(2 * side**3 / seconds / 1e12, 3)
    x = torch.randn(2**30 if b.on_gpu else 2**20, device=b.device)
    y = torch.empty_like(x)
    seconds = timed(b, lambda: y.copy_(x), 3)["median"]
    return found | {"copy_gb_per_s": round(2 * x.nbytes / seconds / 1e9, 1)}


def weights(b: Bench) -> dict:
    """Draws the weights, and the people."""
    b.weights = draw_weights(b.preset)
    size = b.preset.height, b.preset.width
    wardrobe = Wardrobe("test", *size, unpaired=True)
    b.people = collate([wardrobe[i] for i in range(4)])
    return {"parameters": {name: sum(t.numel() for t in tensors.values()) for name, tensors in b.weights.items()}}


def reference(b: Bench) -> dict:
    """The picture in float32, and the latents on the way: what is right."""
    with exact():
        pipe = build_pipeline(b.preset, b.weights, b.device, torch.float32)
        b.call(pipe, steps=2)
        synchronise(b)
        began = time.perf_counter()
        b.picture = b.call(pipe, callback=lambda i, t, latents, estimate: b.trail.append(latents.clone()))
        synchronise(b)
    return {"seconds": round(time.perf_counter() - began, 4), "largest_latent": max(x.abs().max().item() for x in b.trail)}


def memory(b: Bench) -> dict | None:
    """Peak of device memory for one picture in bfloat16: every module in place, and coming and going."""
    if not b.on_gpu:
        return None
    before = torch.cuda.memory_allocated() / 2**30
    pipe = build_pipeline(b.preset, b.weights, b.device, torch.bfloat16)
    held = torch.cuda.memory_allocated() / 2**30
    found = {"precision": "bfloat16", "before_gib": round(before, 3), "modules_gib": round(held - before, 3)}
    found["in_place"] = _peak(b, pipe, before)
    low_memory(pipe.to("cpu"), b.device)
    gc.collect()
    torch.cuda.empty_cache()
    found["low_memory"] = _peak(b, pipe, before)
    return found


def plain(b: Bench) -> dict:
    """One picture at a time on the plain path."""
    b.pipe = build_pipeline(b.preset, b.weights, b.device, b.half)
    b.weights = {}
    return one_picture(b) | {"loop": loop_waits(b), "arithmetic": arithmetic(b)}


def plain_batch(b: Bench) -> dict:
    """Many pictures at a time on the plain path."""
    return many_pictures(b)


def compiled(b: Bench) -> dict:
    """One picture at a time, compiled."""
    found = compiling(b, "reduce-overhead", 1, (PARTS, ("unet", "vae"), ("unet",)))
    return found | one_picture(b) | {"loop": loop_waits(b), "kernels": kernels(b, 1)}


def schedulers(b: Bench) -> dict:
    """Fewer steps: time, and distance to the float32 picture of all steps, on the pipeline as it is."""
    own, found = b.pipe.scheduler, {}
    steps = max(2, 2 * b.steps // 5)
    try:
        for name, kind in SHORT.items():
            b.pipe.scheduler = getattr(diffusers, kind).from_config(own.config)
            last: list[torch.Tensor] = []
            picture = b.call(b.pipe, steps=steps, callback=lambda i, t, x, e, last=last: last.append(x.clone()))
            found[name] = {
                "steps": steps,
                "seconds": timed(b, lambda: b.call(b.pipe, steps=steps), b.repeats),
                "psnr_db": psnr(picture, b.picture),
                "latents_error": relative_error(last[-1], b.trail[-1]),
                "loop": loop_waits(b, steps),
            }
    finally:
        b.pipe.scheduler = own
    return found


def compiled_batch(b: Bench) -> dict:
    """Many pictures at a time: compiled without graphs, with the attention kernel that is quicker at this size."""
    torch._dynamo.reset()
    plain_pipeline(b.pipe)
    tried = attention_seconds(b)
    chosen = min(tried, key=tried.get)
    with attention(chosen):
        found = compiling(b, "default", b.batch, (("unet", "vae"), ("unet",)))
        found |= many_pictures(b) | {"kernels": kernels(b, b.batch)}
    return {"attention": chosen, "denoiser_seconds_by_attention": tried} | found


SECTIONS = {  # in this order, each with the seconds it takes on a large GPU
    machine: 0, weights: 0, reference: 15, memory: 20, plain: 20, plain_batch: 35, compiled: 90, schedulers: 10,
    compiled_batch: 110,
}  # fmt: skip

# ---------------------------------------------------------------- measuring


def synchronise(b: Bench):
    if b.on_gpu:
        torch.cuda.synchronize()


def timed(b: Bench, work: Work, repeats: int) -> dict:
    """Seconds of `work`, median, low and high over `repeats`, after one that is not counted."""
    found = []
    for _ in range(repeats + 1):
        synchronise(b)
        began = time.perf_counter()
        work()
        synchronise(b)
        found.append(time.perf_counter() - began)
    found = found[1:]
    return {"median": median(found), "low": min(found), "high": max(found)}


def one_picture(b: Bench) -> dict:
    """Seconds a picture, a step and beside the steps, and how far picture and latents are from the float32 ones."""
    trail: list[torch.Tensor] = []
    picture = b.call(b.pipe, callback=lambda i, t, latents, estimate: trail.append(latents.clone()))
    gc.collect()  # what compiling left would be collected in the middle of a measurement
    peak = _reset_peak(b)
    whole = timed(b, lambda: b.call(b.pipe), b.repeats)
    first = timed(b, lambda: b.call(b.pipe, steps=1), b.repeats)["median"]
    step = (whole["median"] - first) / (b.steps - 1)
    return {
        "batch": 1,
        "seconds": whole,
        "seconds_a_step": step,
        "seconds_beside_the_steps": first - step,
        "psnr_db": psnr(picture, b.picture),
        "latents_error": [relative_error(x, y) for x, y in zip(trail, b.trail, strict=True)],
        "peak_memory_gib": peak(),
    }


def many_pictures(b: Bench) -> dict:
    """Pictures a second at the large batch: one or two calls, by the time that is left, after a short one."""
    peak = _reset_peak(b)
    b.call(b.pipe, b.batch, steps=2)
    seconds = []
    while len(seconds) < (2 if b.left > 60 else 1):
        synchronise(b)
        began = time.perf_counter()
        b.call(b.pipe, b.batch)
        synchronise(b)
        seconds.append(time.perf_counter() - began)
    return {"batch": b.batch, "seconds": seconds, "pictures_per_second": b.batch / min(seconds), "peak_memory_gib": peak()}


def compiling(b: Bench, mode: str, count: int, choices: Iterable[tuple[str, ...]]) -> dict:
    """Compiles the first of `choices` of parts that the compiler masters, and says why not the ones before it."""
    failed: dict[str, str] = {}
    for parts in choices:
        try:
            seconds = compile_seconds(b, compile_pipeline(b.pipe, mode, parts, b.backend), count)
            return {"mode": mode, "parts": list(parts), "failed": failed, **seconds}
        except Exception as error:
            failed[", ".join(parts)] = f"{type(error).__name__}: {error}"[:1000]
            torch._dynamo.reset()
    raise RuntimeError(f"nothing could be compiled: {failed}")


def compile_seconds(b: Bench, pipe: TryOnPipeline, count: int) -> dict:
    """Seconds of the first call and of the two that record graphs, and what the compiler left out."""
    torch._dynamo.utils.counters.clear()
    found = []
    for _ in range(3):
        synchronise(b)
        began = time.perf_counter()
        b.call(pipe, count, steps=3)
        synchronise(b)
        found.append(round(time.perf_counter() - began, 2))
    counters = torch._dynamo.utils.counters
    return {
        "compile_seconds": found[0],
        "next_calls_seconds": found[1:],
        "graph_breaks": sum(counters["graph_break"].values()),
        "graphs": counters["stats"]["unique_graphs"],
        "cuda_graphs_skipped": counters["inductor"]["cudagraph_skips"],
    }


def arithmetic(b: Bench) -> dict:
    """Floating-point operations, multiplications and additions, of one picture: a guided step, and all beside the steps."""
    counts, kinds = [], {}
    for steps in (1, 2):
        with FlopCounterMode(display=False) as counter:
            b.call(b.pipe, steps=steps)
        counts.append(counter.get_total_flops())
        kinds[steps] = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
    step = counts[1] - counts[0]
    by_kind = {op: n - kinds[1].get(op, 0) for op, n in kinds[2].items()}
    return {"gflop_a_step": step / 1e9, "gflop_beside_the_steps": (counts[0] - step) / 1e9,
            "gflop_a_step_by_kind": {op: n / 1e9 for op, n in by_kind.items() if n}}  # fmt: skip


def loop_waits(b: Bench, steps: int | None = None) -> str:
    """Runs the loop with every wait for the GPU forbidden: "no wait", or the first that was met."""
    if not b.on_gpu:
        return "not on a GPU"

    def watched(timesteps: Iterable) -> Iterator:
        try:
            for t in timesteps:
                torch.cuda.set_sync_debug_mode("error")
                yield t
        finally:
            torch.cuda.set_sync_debug_mode("default")

    b.pipe.progress_bar = watched
    try:
        b.call(b.pipe, steps=steps)
        return "no wait"
    except RuntimeError as error:
        return f"waits: {error}"[:200]
    finally:
        torch.cuda.set_sync_debug_mode("default")
        del b.pipe.progress_bar


def kernels(b: Bench, count: int) -> dict | None:
    """Milliseconds of GPU time by kind of kernel in one run of the denoiser as it is, and the largest kernels by name."""
    if not b.on_gpu or b.left < 15:
        return None
    run = denoiser(b, count)
    for _ in range(3):
        run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    times = {e.key: e.self_device_time_total / 1e3 for e in profile.key_averages() if e.self_device_time_total > 0}
    kinds: dict[str, float] = {}
    for name, ms in times.items():
        kind = next((k for k, parts in KERNELS.items() if any(part in name.lower() for part in parts)), "else")
        kinds[kind] = kinds.get(kind, 0) + ms
    largest = sorted(times, key=times.get, reverse=True)[:16]
    return {
        "denoiser_seconds": timed(b, run, 5)["median"],
        "ms_by_kind": {k: round(ms, 3) for k, ms in sorted(kinds.items(), key=lambda item: -item[1])},
        "largest_ms": {name[:120]: round(times[name], 3) for name in largest},
    }


def attention_seconds(b: Bench) -> dict[str, float]:
    """Seconds of the plain denoiser at the large batch with each order of preference of attention kernels."""
    run, found = denoiser(b, b.batch), {}
    for name in ("default", "cudnn") if b.on_gpu else ("default",):
        with attention(name):
            found[name] = timed(b, run, 3)["median"]
    return found


def attention(name: str):
    """A context in which attention is torch's choice, or cuDNN's wherever that can."""
    order = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return nullcontext() if name == "default" else sdpa_kernel(order, set_priority=True)


def denoiser(b: Bench, count: int) -> Work:
    """One guided run of the denoiser for `count` pictures, on the inputs that the pipeline gives it."""
    seen: dict = {}

    def keep(module, args, kwargs):
        seen["args"], seen["kwargs"] = args, kwargs

    handle = b.pipe.unet.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        b.call(b.pipe, count, steps=1)
    finally:
        handle.remove()
    return torch.no_grad()(lambda: b.pipe.unet(*seen["args"], **seen["kwargs"]))


def psnr(picture: torch.Tensor, other: torch.Tensor) -> float:
    """Decibels between pictures in [0, 1]; 200 for equal ones."""
    error = (picture.double() - other.double()).square().mean().item()
    return 200.0 if error == 0 else -10 * log10(error)


def relative_error(x: torch.Tensor, truth: torch.Tensor) -> float:
    """‖x - truth‖ / ‖truth‖."""
    return ((x.double() - truth.double()).norm() / truth.double().norm()).item()


@contextmanager
def exact() -> Iterator[None]:
    """float32 as it is written: without the matrix units' 10-bit shortcut."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _peak(b: Bench, pipe: TryOnPipeline, before: float) -> dict:
    """Peak of memory above `before`, seconds and picture of one call after a short one."""
    b.call(pipe, steps=2)
    peak = _reset_peak(b)
    synchronise(b)
    began = time.perf_counter()
    picture = b.call(pipe)
    synchronise(b)
    seconds = time.perf_counter() - began
    return {"peak_gib": round(peak() - before, 3), "seconds": round(seconds, 3), "psnr_db": psnr(picture, b.picture)}


def _reset_peak(b: Bench) -> Callable[[], float | None]:
    """Starts counting the peak of device memory anew; the result reads it, in GiB."""
    if not b.on_gpu:
        return lambda: None
    torch.cuda.reset_peak_memory_stats()
    return lambda: round(torch.cuda.max_memory_allocated() / 2**30, 3)

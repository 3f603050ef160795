"""The one training loop: AdamW, warm-up and cosine, averaged weights, and a resume that changes nothing.

Choices made here
- Everything random is a function of (seed, stage, step): the order of the data, noise, timesteps, dropout. So a full
  checkpoint (see `resume`) is weights, averages, moments and a step, and training that was killed anywhere ends in the same
  weights as training that was not: to the bit on a CPU, on a GPU up to its non-deterministic kernels, in float16 but for the
  loss scale, which starts anew.
- SIGINT and SIGTERM finish the step, write a checkpoint and raise `Interrupted`; `budget` seconds do the same.
- Accelerate moves, scales and spreads over processes; each process takes its slice of every batch. Compiling and bfloat16 are
  for GPUs.
"""

import math
import signal
import time
import zlib
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.presets import StageConfig
from ladi_mini.training.average import Average
from ladi_mini.training.resume import load_checkpoint, save_checkpoint
from ladi_mini.training.share import GpuShare
from ladi_mini.training.stage import Stage, Tensors, rows

# inductor's: convolutions keep channels last throughout, and a step's kernels are launched as one recorded graph, without which
# small networks leave the GPU waiting for Python
COMPILE = {"force_layout_optimization": True, "triton.cudagraphs": True}


class Interrupted(Exception):
    """Training stopped at a checkpoint before its end; the same call goes on from there."""


def accelerator_for(precision: str, accelerator: Accelerator | None = None) -> Accelerator:
    """`accelerator`, or a new one of that `precision`, with a GPU's float32 products and convolutions set for training."""
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=precision)
    if accelerator.device.type == "cuda":  # float32 products in TF32: what bfloat16 leaves over is not worth more
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    return accelerator


def seed_of(*parts: object) -> int:
    """A 32-bit seed that depends on nothing but `parts`."""
    return zlib.crc32("/".join(map(str, parts)).encode())


def learning_rate(step: int, config: StageConfig) -> float:
    """Linear warm-up, then a cosine from the full rate down to a tenth of it."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def batch_indices(step: int, batch_size: int, count: int, seed: int) -> torch.Tensor:
    """(batch_size,) rows of step `step`: slices of one permutation an epoch, going on into the next epoch's."""
    position, picked = step * batch_size, []
    while len(picked) < batch_size:
        epoch, offset = divmod(position + len(picked), count)
        picked += _order(epoch, count, seed)[offset : offset + batch_size - len(picked)].tolist()
    return torch.tensor(picked)


@lru_cache(maxsize=2)
def _order(epoch: int, count: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed_of(seed, "order", epoch)))


def train_stage(
    stage: Stage,
    table: Tensors,
    work: Path,
    *,
    seed: int = 0,
    held_out: Tensors | None = None,
    accelerator: Accelerator | None = None,
    save_every: int | None = None,
    budget: float | None = None,
    light: bool = False,
    compile: bool = False,
    progress: bool = True,
    on_step=None,
) -> dict:
    """Trains `stage` on the rows of `table` and leaves the averaged weights in it; returns the card.

    `work` is the folder of its checkpoints, written every `save_every` steps (a twentieth of all, at least 200): if one is there,
    training goes on from it. `budget`: seconds after which it stops at a checkpoint, which is a `light` one if so asked.
    `compile` its networks with torch, which takes a minute or so and pays on a GPU.
    `on_step(step, terms)` is called after each step, for live figures. Raises `Interrupted` when stopped early.
    """
    config, work = stage.config, Path(work)
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    device, count = accelerator.device, len(next(iter(table.values())))
    table = {name: column.to(device) for name, column in table.items()}
    stage.to(device)
    if device.type == "cuda":  # convolutions' layout, set before the optimizer's moments take it over
        stage.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        stage.parameters(), lr=config.learning_rate, betas=(0.9, config.beta2), weight_decay=1e-2, fused=device.type == "cuda"
    )
    wrapped, optimizer = accelerator.prepare(stage, optimizer)
    for network in stage.heavy() if compile else ():
        network.compile(options=COMPILE | {"triton.cudagraphs": stage.graphs} if device.type == "cuda" else None)
    average = Average(stage, config.ema)
    step, log, seconds = load_checkpoint(work, stage, optimizer, average)
    resumed_at, started, save_every = step, time.perf_counter(), save_every or max(200, config.steps // 20)
    stage.train()
    bar = tqdm(total=config.steps, initial=step, desc=f"{stage.name:>12}", disable=not progress)
    with _signals() as signals, GpuShare(device) as busy, bar:
        while step < config.steps:
            torch.manual_seed(seed_of(seed, stage.name, step, accelerator.process_index))  # dropout
            generator = torch.Generator(device).manual_seed(seed_of(seed, stage.name, "draw", step, accelerator.process_index))
            index = batch_indices(step, config.batch_size, count, seed_of(seed, stage.name))
            batch = stage.draw(rows(table, index[accelerator.process_index :: accelerator.num_processes]), generator)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            with accelerator.autocast():
                terms = wrapped(batch)
            accelerator.backward(terms["loss"])
            accelerator.clip_grad_norm_(stage.parameters(), config.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update(stage, step)
            if step % max(1, config.steps // 100) == 0 or step == config.steps - 1:
                log.append({"step": step} | {name: round(float(value.detach()), 6) for name, value in terms.items()})
                bar.set_postfix(loss=f"{log[-1]['loss']:.4f}")
            if on_step is not None:
                on_step(step, terms)
            busy.step()
            step += 1
            bar.update(1)
            spent = time.perf_counter() - started
            stop = bool(signals) or (budget is not None and spent > budget)
            if accelerator.num_processes > 1:  # all stop at the same step, or none does
                stop = accelerator.reduce(torch.tensor(float(stop), device=device), "sum").item() > 0
            save = step < config.steps and (stop or step % save_every == 0)
            if save and accelerator.is_main_process:
                save_checkpoint(work, stage, optimizer, average, step, log, seconds + spent, light and stop)
            if step < config.steps and stop:
                accelerator.wait_for_everyone()
                raise Interrupted(
                    f"{stage.name} stopped after {step} of {config.steps} steps; the same command goes on from there"
                )
    spent = time.perf_counter() - started
    stage.load_state_dict(average.values)
    stage.eval()
    with torch.compiler.set_stance("force_eager"):  # other shapes than in training: not worth compiling
        stage.finish(table)
        measured = stage.validate({name: column.to(device) for name, column in held_out.items()}) if held_out is not None else {}
    return {
        "stage": stage.name,
        "preset": stage.preset.name,
        "seed": seed,
        "steps": config.steps,
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "ema": config.ema,
        "samples": count,
        "parameters": sum(p.numel() for p in stage.parameters()),
        "seconds": round(seconds + spent, 1),
        "samples_per_second": round((config.steps - resumed_at) * config.batch_size / spent, 1) if spent else None,
        "share_of_gpu_time": busy.share,
        "peak_memory_mb": peak_memory_mb(device),
        "compiled": compile,
        "mixed_precision": str(accelerator.mixed_precision),
        "held_out": {name: round(value, 5) for name, value in measured.items()},
        "loss": log,
        **circumstances(device),
    }


@contextmanager
def _signals():
    """A list that fills when SIGINT or SIGTERM arrives; the handlers before are put back at the end."""
    received: list[int] = []
    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda n, _: received.append(n))
    except ValueError:  # not the main thread (a widget's, say): nothing to catch there
        pass
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

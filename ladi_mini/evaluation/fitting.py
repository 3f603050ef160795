"""A short training loop for the two networks that only measuring needs: the reader of prints and the predecessor.

The stages of the model train on `training.loop`, which resumes to the bit. These two are trained once, in one piece.

Choices made here
- AdamW, a short warm-up, then a cosine. How far training has come is the larger share of steps and of the time budget, so that a
  budget ends at a small learning rate and not in the middle.
- What is kept is the moving average of the weights. On a GPU the network runs in bfloat16, its weights stay float32.
"""

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import nn
from tqdm import tqdm


def fit(
    module: nn.Module,
    loss_of: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
    count: int,
    *,
    batch_size: int,
    learning_rate: float,
    steps: int,
    budget: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    label: str = "fitting",
) -> dict:
    """Trains `module` in place and leaves its averaged weights, frozen and in eval mode; returns what happened, for a card.

    loss_of: rows (batch_size,) of the `count` samples and a generator on the device -> scalar loss. `budget`: seconds after which
    it ends although steps are left.
    """
    device = torch.device(device)
    module.to(device).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=1e-2)
    average = copy.deepcopy(module)
    generator = torch.Generator(device).manual_seed(seed)
    torch.manual_seed(seed)
    log, step, done, started = [], 0, 0.0, time.perf_counter()
    with tqdm(total=steps, desc=f"{label:>12}") as bar:
        while step < steps and done < 1:
            spent = time.perf_counter() - started
            done = max(step / steps, 0.0 if budget is None else min(1.0, spent / budget))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            index = torch.randint(count, (min(batch_size, count),), generator=generator, device=device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = loss_of(index, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            _follow(average, module, min(0.999, (1 + step) / (10 + step)))
            if step % max(1, steps // 50) == 0:
                log.append({"step": step, "loss": round(loss.item(), 5)})
                bar.set_postfix(loss=f"{log[-1]['loss']:.4f}")
            step += 1
            bar.update(1)
    module.load_state_dict(average.state_dict())
    module.eval().requires_grad_(False)
    return {
        "steps": step, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed,
        "seconds": round(time.perf_counter() - started, 1), "parameters": sum(p.numel() for p in module.parameters()),
        "loss": log,
    }  # fmt: skip


@torch.no_grad()
def _follow(average: nn.Module, module: nn.Module, decay: float):
    names = {name for name, _ in module.named_parameters()}
    kept = average.state_dict()
    for name, value in module.state_dict().items():
        if name in names:
            kept[name].lerp_(value, 1 - decay)
        else:
            kept[name].copy_(value)  # running statistics

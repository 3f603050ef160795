"""Averaged weights, which are what is shipped: less noisy than the last step's."""

import torch


class Average:
    """Exponential moving average of a module's parameters; buffers (running statistics) are copied.

    The decay warms up, min(decay, (1 + step) / (10 + step)), so that short runs forget their start.
    """

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.parameters = dict(module.named_parameters()).keys()

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int):
        decay = min(self.decay, (1 + step) / (10 + step))
        current = module.state_dict()
        torch._foreach_lerp_([self.values[n] for n in self.parameters], [current[n] for n in self.parameters], 1 - decay)
        for name in current.keys() - self.parameters:
            self.values[name].copy_(current[name])

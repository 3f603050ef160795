"""How busy training keeps the GPU: the share of the wall clock in which kernels run.

Choices made here
- A profile of ten steps after fifty, when compiling and warm-up are over; longer ones cost memory and say the same.
"""

import time

import torch


class GpuShare:
    """The share of the time in which the GPU computes, `share` in [0, 1], from a profile of `STEPS` steps after `WAIT`; on a CPU,
    or in shorter runs, None."""

    WAIT, STEPS = 50, 10

    def __init__(self, device: torch.device):
        self.share: float | None = None
        self.device, self._steps, self._profile = device, 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._profile is not None:
            self._profile.stop()

    def step(self):
        """To be called after every step of training."""
        self._steps += 1
        if self.device.type == "cuda" and self._steps == self.WAIT:
            torch.cuda.synchronize(self.device)
            self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self._profile.start()
            self._began = time.perf_counter()
        elif self._profile is not None and self._steps == self.WAIT + self.STEPS:
            torch.cuda.synchronize(self.device)
            wall, profile, self._profile = time.perf_counter() - self._began, self._profile, None
            profile.stop()
            kernels = sum(event.device_time for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA)
            self.share = round(kernels / 1e6 / wall, 3)

"""Where the words look: the denoiser's cross-attention to chosen tokens, recorded while it runs.

Lessons 2 and 6. Rombach et al., 2022, section 3.3 (cross-attention); Tang et al., 2023 (attribution by averaging its maps).

Choices made here
- Recording wraps the processors of diffusers and takes them off again, so that the network is the same before and after.
- The map is the mean over layers, heads and steps, each layer's map resized to the latents' size.
"""

import torch
import torch.nn.functional as F


class AttentionRecorder:
    """A context in which `unet`'s cross-attention to the tokens at `positions` (B, n) is summed; nothing if they are None.

    Under guidance the batch is [unconditional, conditional]: the last B samples are those recorded.
    """

    def __init__(self, unet: torch.nn.Module, positions: torch.Tensor | None):
        self.unet, self.positions = unet, positions
        self.maps: dict[int, torch.Tensor] = {}  # by number of places, summed over layers, heads and steps
        self.count = 0

    def __enter__(self) -> "AttentionRecorder":
        if self.positions is not None:
            self._original = self.unet.attn_processors
            wrapped = {name: _Recording(processor, self) for name, processor in self._original.items() if ".attn2." in name}
            self.unet.set_attn_processor(self._original | wrapped)
        return self

    def __exit__(self, *_):
        if self.positions is not None:
            self.unet.set_attn_processor(self._original)

    def add(self, probabilities: torch.Tensor):
        """Adds one layer's attention, (batch, heads, places, tokens)."""
        b, n = self.positions.shape
        mean = probabilities[-b:].mean(1)  # (B, places, tokens)
        picked = mean.gather(2, self.positions[:, None, :].expand(b, mean.shape[1], n)).transpose(1, 2)  # (B, n, places)
        self.maps[picked.shape[-1]] = self.maps.get(picked.shape[-1], 0) + picked.float()
        self.count += 1

    def mean(self, size: tuple[int, int]) -> torch.Tensor | None:
        """(B, n, h, w) mean attention at the latents' `size`, on the CPU; None if nothing was recorded."""
        if not self.maps:
            return None
        h, w = size
        total = 0
        for places, summed in self.maps.items():
            factor = 1
            while -(-h // factor) * -(-w // factor) > places:  # each halving rounds up
                factor *= 2
            grid = summed.view(*summed.shape[:2], -(-h // factor), -(-w // factor))
            total = total + F.interpolate(grid, size, mode="bilinear", align_corners=False)
        return (total / self.count).cpu()


class _Recording:
    """An attention processor that does what the wrapped one does and hands its probabilities to a recorder."""

    def __init__(self, processor, recorder: AttentionRecorder):
        self.processor, self.recorder = processor, recorder

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
        queries = attn.head_to_batch_dim(attn.to_q(hidden_states))
        keys = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        probabilities = attn.get_attention_scores(queries, keys, attention_mask)
        self.recorder.add(probabilities.view(-1, attn.heads, *probabilities.shape[1:]))
        return self.processor(attn, hidden_states, encoder_hidden_states, attention_mask, **kwargs)

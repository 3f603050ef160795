"""fast.py: compiled or split, the model computes what the plain one does, waits for nothing in its loop, and goes back."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from tiny import TINY, batch, noisy, tiny_pipeline
from torch.utils._python_dispatch import TorchDispatchMode

from ladi_mini import diffusion
from ladi_mini.diffusion import Conditions, build_scheduler, build_unet, denoise, denoise_once
from ladi_mini.fast import SplitConv, _compiled, compile_pipeline, low_memory, plain_pipeline, settle

Z = TINY.latent_channels


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def picture(pipe, **options):
    return pipe(batch(1), latents=noise(1, Z, *TINY.latent_size), output_type="pt", **options).images


@pytest.fixture(scope="module")
def both():
    """A plain pipeline, and one of the same weights compiled: by the compiler's front end, which needs no C++ compiler."""
    return tiny_pipeline(), compile_pipeline(tiny_pipeline(), backend="eager")


def split_unet():
    torch.manual_seed(0)
    unet = noisy(build_unet(TINY), 0)
    whole, unet.conv_in = unet.conv_in, SplitConv.of(unet.conv_in, Z)
    return unet, whole


# ---------------------------------------------------------------- the first convolution


def test_split_convolution_equals_the_whole_one_but_for_the_order_of_its_sum():
    unet, whole = split_unet()
    moving, static = noise(2, Z, 8, 6), noise(2, TINY.tryon_channels - Z, 8, 6, seed=1)
    settled = unet.conv_in.settle(static)
    expected = whole(torch.cat([moving, static], dim=1))
    assert torch.allclose(unet.conv_in(torch.cat([moving, settled], dim=1)), expected, atol=1e-6)
    assert settled.abs().max() > 0.1 and not torch.allclose(settled, expected, atol=0.1)
    assert torch.equal(unet.conv_in(torch.cat([moving, static], dim=1)), expected)  # all channels: as ever


def test_settled_conditions_give_the_denoisers_own_output():
    unet, whole = split_unet()
    latents, given = noise(2, Z, *TINY.latent_size), Conditions(noise(2, 27, *TINY.latent_size, seed=1), noise(2, 6, 16))
    settled = settle(unet, given)
    assert settled.static.shape[1] == whole.out_channels and settled.text is given.text
    with torch.no_grad():
        split = denoise_once(unet, latents, 400, settled)
        unet.conv_in = whole
        assert settle(unet, given) is given
        assert torch.allclose(split, denoise_once(unet, latents, 400, given), atol=1e-5)


# ---------------------------------------------------------------- compiling


@pytest.mark.slow
def test_compiled_pipeline_gives_the_plain_picture(both):
    plain, compiled = (picture(pipe) for pipe in both)
    assert torch.allclose(plain, compiled, atol=1e-5) and not torch.allclose(plain, torch.full_like(plain, 0.5), atol=0.1)


@pytest.mark.slow
def test_every_costly_step_runs_compiled_and_in_whole(both, monkeypatch):
    counters = torch._dynamo.utils.counters
    picture(both[1])
    assert not counters["graph_break"]
    before = counters["stats"]["unique_graphs"]
    picture(both[1], num_inference_steps=5)
    assert counters["stats"]["unique_graphs"] == before  # another number of steps compiles nothing anew
    monkeypatch.setattr(both[1].unet, "forward", None)
    with pytest.raises(TypeError):
        picture(both[1])


@pytest.mark.slow
def test_a_trace_of_a_compiled_pipeline_has_everything(both):
    plain, compiled = (pipe(batch(1), latents=noise(1, Z, *TINY.latent_size), trace=True).trace for pipe in both)
    assert torch.allclose(plain.attention, compiled.attention, atol=1e-5) and plain.attention.sum() > 0
    assert torch.allclose(plain.image, compiled.image, atol=1e-4)


def test_plain_again_it_has_its_old_names_and_picture():
    pipe = tiny_pipeline()
    names, before = list(pipe.unet.state_dict()), picture(pipe)
    parts = [pipe.unet, pipe.refinement, pipe.text_encoder.encoder, pipe.image_encoder.vision_model.encoder]
    compile_pipeline(pipe, backend="eager")
    assert all("forward" in part.__dict__ for part in parts)
    plain_pipeline(pipe)
    assert list(pipe.unet.state_dict()) == names and type(pipe.unet.conv_in) is torch.nn.Conv2d
    assert not any("forward" in part.__dict__ for part in parts)
    assert not {"encode_picture", "decode_latents"} & set(pipe.__dict__)
    assert torch.allclose(picture(pipe), before, atol=1e-5)


def test_only_the_parts_asked_for_are_compiled():
    pipe = compile_pipeline(tiny_pipeline(), parts=("vae",), backend="eager")
    assert "encode_picture" in pipe.__dict__ and "forward" not in pipe.unet.__dict__ and "forward" not in pipe.refinement.__dict__


def test_results_are_copies_that_the_next_run_cannot_overwrite():
    own = noise(3)
    assert _compiled(lambda x: x, "reduce-overhead", "eager")(own).data_ptr() != own.data_ptr()


def test_another_order_in_memory_is_not_compiled_anew():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    run = _compiled(lambda x: 2 * x, "default", "eager")
    x = noise(2, 3, 4, 4)
    assert torch.equal(run(x), run(x.to(memory_format=torch.channels_last)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match=r"'brain'.*choose"):
        compile_pipeline(tiny_pipeline(), parts=("unet", "brain"))


# ---------------------------------------------------------------- low memory


def test_low_memory_gives_the_same_picture_every_time():
    """With the CPU in the GPU's place: the modules' comings and goings are gone through, though they stay where they are."""
    pipe = tiny_pipeline()
    before = picture(pipe)
    low_memory(pipe, "cpu")
    assert all(hasattr(module, "_hf_hook") for module in pipe.components.values() if isinstance(module, torch.nn.Module))
    assert torch.equal(picture(pipe), before) and torch.equal(picture(pipe), before)


def test_low_memory_and_compiling_exclude_each_other(both):
    with pytest.raises(ValueError, match="compiled"):
        low_memory(both[1])
    pipe = tiny_pipeline()
    pipe.unet._hf_hook = object()
    with pytest.raises(ValueError, match="low_memory"):
        compile_pipeline(pipe)


# ---------------------------------------------------------------- the loop waits for nothing


class Crossings(TorchDispatchMode):
    """Lists the copies between the CPU and another device."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if "copy" in str(function) and isinstance(out, torch.Tensor) and args[0].device != out.device:
            self.found.append(f"{function}: {args[0].device} to {out.device}")
        return out


@pytest.mark.parametrize("kind", ["DDIM", "DPMSolverMultistep"])
def test_the_loop_reads_nothing_from_the_device_and_sends_nothing_to_it(kind):
    """The meta device holds no numbers, so that whatever would read one fails."""
    import diffusers

    with torch.device("meta"):
        unet = build_unet(TINY)
    start, static, text = (torch.empty(2, *s, device="meta") for s in ((Z, 16, 12), (27, 16, 12), (6, 16)))
    scheduler = getattr(diffusers, f"{kind}Scheduler").from_config(build_scheduler(TINY).config)
    crossings, inside = Crossings(), []

    def watched(timesteps):
        with crossings:
            for t in timesteps:
                inside.append(t)
                yield t

    given = Conditions(static, text)
    end = denoise(unet, scheduler, start, given, given, 3.0, num_inference_steps=4, progress=watched)
    assert end.is_meta and len(inside) == 4
    assert crossings.found == []


def test_what_watches_the_loop_sees_a_read_and_a_copy():
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.empty(1, device="meta").item()
    with Crossings() as crossings:
        torch.zeros(1).to("meta")
    assert len(crossings.found) == 1


def test_no_estimate_is_made_where_nobody_asks(monkeypatch):
    pipe = tiny_pipeline()
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    monkeypatch.setattr(diffusion, "_estimate", lambda *_: pytest.fail("an estimate was made"))
    assert picture(pipe).isfinite().all()

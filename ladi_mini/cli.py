"""The command `ladi-mini`: demo, tryon, train, evaluate, render, doctor, bench, convert.

Choices made here
- Heavy imports happen inside the commands, so that `--help` and a wrong argument answer at once.
- An input that cannot be used ends with exit code 2 and one sentence; anything else is a bug and shows its traceback.
- Warnings about the input are one plain line each.
"""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from ladi_mini.cli_course import app as course
from ladi_mini.cli_released import convert
from ladi_mini.errors import InputError, InputWarning
from ladi_mini.presets import STAGES, get_preset

ROOT = Path(__file__).parents[1]
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Virtual try-on with latent diffusion, small enough to study.")
app.command()(convert)
app.add_typer(course, name="course")


PresetName = Annotated[str, typer.Option("--preset", help="Size of the model: nano, mini or full.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, max=1000, help="Denoising steps; the preset's if not given.")]
Guidance = Annotated[
    float | None, typer.Option("--guidance", min=0, help="Guidance scale, 1 is none; the preset's if not given.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same picture.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Folder of the weights; those shipped if not given.")]


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option("--out", help="Where the picture goes; into data/outputs if not given.")] = None,
    preset: PresetName = "mini",
    index: Annotated[int, typer.Option(min=0, help="Which test person of the wardrobe.")] = 4,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = 0,
    weights: Weights = None,
    sheet: Annotated[str, typer.Option(help="tryon: one try-on, step by step; wardrobe: the data, no model needed.")] = "tryon",
):
    """One try-on with the shipped weights: every intermediate picture on one sheet. Or a sheet of the wardrobe."""
    from ladi_mini.wardrobe import Wardrobe

    if sheet not in ("tryon", "wardrobe"):
        raise InputError(f"--sheet is {sheet!r}, expected tryon or wardrobe; choose one of them.")
    if sheet == "wardrobe":
        _wardrobe_sheet(seed, ROOT / "data" / "outputs" / "wardrobe_sheet.webp" if out is None else out)
        return
    out = ROOT / "data" / "outputs" / "demo.png" if out is None else out
    size = get_preset(preset)
    people = Wardrobe("test", size.height, size.width, unpaired=True)
    if index >= len(people):
        raise InputError(f"--index is {index}, but the wardrobe has {len(people)} test people; choose 0 to {len(people) - 1}.")
    sample = people[index]
    _run([sample], preset, weights, steps, guidance, seed, out)
    typer.echo("Next: open it, then `make lab` for the lessons, or `ladi-mini tryon --help` for other people and garments.")


@app.command()
def tryon(
    data: Annotated[Path | None, typer.Option(help="A data set's folder.")] = None,
    layout: Annotated[str | None, typer.Option(help="How it is laid out: vitonhd or dresscode.")] = None,
    pair: Annotated[int, typer.Option(min=0, help="Which pair of the data set.")] = 0,
    split: Annotated[str, typer.Option(help="Which split: test or train.")] = "test",
    order: Annotated[str, typer.Option(help="paired: the own garment; unpaired: another one.")] = "unpaired",
    person: Annotated[Path | None, typer.Option(help="Photograph of a person.")] = None,
    garment: Annotated[Path | None, typer.Option(help="Photograph of a garment on white.")] = None,
    parse: Annotated[Path | None, typer.Option(help="Label map of the person (VITON-HD's or Dress Code's labels).")] = None,
    keypoints: Annotated[Path | None, typer.Option(help="OpenPose JSON of the person (BODY_25 or COCO-18).")] = None,
    category: Annotated[str, typer.Option(help="upper_body, lower_body or dresses.")] = "upper_body",
    labels: Annotated[str | None, typer.Option(help="Labels of --parse: vitonhd or dresscode; guessed if not given.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="mini if not given, full with --released.")] = None,
    released: Annotated[str | None, typer.Option(help="The authors' model for vitonhd or dresscode, from --weights.")] = None,
    base: Annotated[str | None, typer.Option(help="With --released: folder or hub id of the inpainting base.")] = None,
    image_encoder: Annotated[str | None, typer.Option(help="With --released: folder or hub id of the ViT-H.")] = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = 0,
    weights: Weights = None,
    paste_back: Annotated[bool, typer.Option("--paste-back", help="Put the known pixels back over the result.")] = False,
    out: Annotated[Path, typer.Option(help="Where the sheet goes; the result alone goes beside it.")] = ROOT
    / "data"
    / "outputs"
    / "tryon.png",
):
    """Dresses a person of a data set, or of your own pictures, in a garment."""
    preset = preset or ("full" if released else "mini")
    size = get_preset(preset)
    convention = "released" if released else "ours"
    if released is None and (base or image_encoder):
        raise InputError("--base and --image-encoder belong to --released; add --released vitonhd or --released dresscode.")
    own = {"--person": person, "--garment": garment, "--parse": parse, "--keypoints": keypoints}
    given = [name for name, value in own.items() if value is not None]
    if (data is not None) == bool(given):
        raise InputError(
            "Give either --data DIR --layout vitonhd|dresscode --pair N, or --person, --garment, --parse and --keypoints."
        )
    if data is not None:
        sample = _pair(data, layout, pair, split, order, size, convention)
    else:
        missing = [name for name in own if name not in given]
        if missing:
            raise InputError(
                f"{', '.join(missing)} is missing: one's own pictures need {', '.join(own)}, "
                "the parse map with VITON-HD's or Dress Code's labels, the key points as OpenPose's JSON."
            )
        from ladi_mini.datasets.photo import read_sample

        sample = read_sample(
            person, garment, parse, keypoints, size.height, size.width, category,
            labels=labels, whiten=True, convention=convention,
        )  # fmt: skip
    if preset != "full" and not _is_drawn(data):
        warnings.warn(
            f"the {preset} model has seen drawn people only: a photograph is outside what it knows, expect a poor picture",
            InputWarning, stacklevel=1,
        )  # fmt: skip
    options = {} if released is None else {"released": released, "base": base, "image_encoder": image_encoder}
    _run([sample], preset, weights, steps, guidance, seed, out, paste_back, **options)


@app.command()
def train(
    stages: Annotated[list[str], typer.Argument(help="Stages in any order, or all.")],
    preset: PresetName = "nano",
    out: Annotated[Path | None, typer.Option(help="Folder of weights and cards; data/runs/PRESET if not given.")] = None,
    seed: Seed = 0,
    budget: Annotated[str | None, typer.Option(help="Stop at a checkpoint after this time, such as 90s or 8m.")] = None,
    light: Annotated[bool, typer.Option("--light", help="Make that checkpoint small, to be carried elsewhere.")] = False,
    precision: Annotated[str | None, typer.Option(help="no, bf16 or fp16; bf16 on a GPU if not given.")] = None,
    compile: Annotated[bool | None, typer.Option(help="Compile the networks; on a GPU beyond nano if not given.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Keep the drawn samples there; data/cache for nano, else nowhere.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the checkpoints of an earlier run.")] = False,
):
    """Trains stages on the wardrobe; called again, it goes on where it was stopped."""
    import os
    import shutil

    import torch

    from ladi_mini.agnostic import one_of
    from ladi_mini.training import Interrupted
    from ladi_mini.training import train as run

    unknown = sorted(set(stages) - {*STAGES, "all"})
    if unknown:
        raise InputError(f"{unknown[0]!r} is no stage; choose from {', '.join(STAGES)}, or all.")
    chosen = STAGES if "all" in stages else tuple(stages)
    folder = ROOT / "data" / "runs" / preset if out is None else out
    if fresh:
        shutil.rmtree(folder / "work", ignore_errors=True)
    try:
        gpu = torch.cuda.is_available()
        cards = run(
            chosen,
            get_preset(preset),
            folder,
            seed=seed,
            budget=_seconds(budget),
            cache=ROOT / "data" / "cache" if cache is None and preset == "nano" else cache,
            workers=os.cpu_count() or 1,
            precision=one_of("--precision", precision or ("bf16" if gpu else "no"), ("no", "bf16", "fp16")),
            compile=gpu and preset != "nano" if compile is None else compile,
            light=light,
        )
    except Interrupted as stopped:
        typer.echo(f"{stopped}.")
        raise typer.Exit(3) from None
    for card in cards:
        typer.echo(f"{card['stage']:>12}: {card['seconds']:.0f} s, {card['held_out']}")
    typer.echo(f"Weights and cards are in {folder}.")


@app.command()
def evaluate(
    preset: PresetName = "mini",
    count: Annotated[
        int | None, typer.Option("--count", min=4, help="How many test people; the preset's, or all of --data, if not given.")
    ] = None,
    ablation: Annotated[
        str | None,
        typer.Option(help="The component study instead: text, garment, pose, emasc, guidance, steps, paste-back or all."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A data set's folder; the wardrobe if not given.")] = None,
    layout: Annotated[str | None, typer.Option(help="How it is laid out: vitonhd or dresscode.")] = None,
    sheets: Annotated[bool, typer.Option("--sheets", help="Also the sheets to look at: first 48, worst 12, letters.")] = False,
    features: Annotated[
        Path | None, typer.Option(help="Folder with the weights of Inception, AlexNet, VGG: FID, KID, LPIPS.")
    ] = None,
    finetuned: Annotated[Path | None, typer.Option(help="Folder with a folder of weights for each variant of the study.")] = None,
    predecessor: Annotated[
        Path | None, typer.Option(help="Folder of the encoder-decoder to compare with; that of the weights if not given.")
    ] = None,
    seed: Seed = 0,
    weights: Weights = None,
    out: Annotated[Path | None, typer.Option(help="The card; a name in data/results if not given.")] = None,
):
    """Scores try-ons against the true pictures and against simpler means, or the model's components; writes a card."""
    import os

    import torch

    from ladi_mini.checkpoints import Models, default_folder, load_pipeline
    from ladi_mini.evaluation import evaluate as score
    from ladi_mini.evaluation import study
    from ladi_mini.evaluation.predecessor import load_predecessor
    from ladi_mini.evaluation.reader import load_reader

    if ablation is not None and (data is not None or sheets):
        raise InputError("--ablation stands without --data and --sheets: components are compared on drawn people, in a figure.")
    if finetuned is not None and ablation is None:
        raise InputError("--finetuned belongs to --ablation; add --ablation all.")
    size, device = get_preset(preset), "cuda" if torch.cuda.is_available() else "cpu"
    people = None if data is None else _data_people(data, layout, size, count)
    folder = default_folder(preset) if weights is None else weights
    pipe = load_pipeline(preset, weights, device)
    given = {
        "samples": count, "seed": seed, "batch_size": 128 if device == "cuda" else 32, "cache": ROOT / "data" / "cache",
        "workers": os.cpu_count() or 1, "features": features, "reader": load_reader(folder, device),
        "predecessor": load_predecessor(predecessor or folder, size, device),
    }  # fmt: skip
    if ablation is not None:
        name = f"{preset}_study" if ablation == "all" else f"{preset}_study_{ablation}"
        card = study(pipe, size, ablation, clip=Models(size, folder, device)["clip"], finetuned=finetuned, **given)
        _write_study(card, ROOT / "data" / "results" / f"{name}.json" if out is None else out)
        return
    card, scores = score(pipe, size, people=people, data="the wardrobe" if data is None else data.name, **given)
    name = f"{preset}_tryon" if data is None else f"{preset}_{layout}"
    _write_scores(card, ROOT / "data" / "results" / f"{name}.json" if out is None else out)
    if sheets:
        people = _people_of_sheets(people, size, card["samples"], given)
        _write_sheets(pipe, people, scores, given["reader"], seed, out or ROOT / "data" / "results" / f"{preset}_sheet.json")


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make; it must be new or empty.")],
    layout: Annotated[str, typer.Option(help="How to lay it out: vitonhd or dresscode.")],
    count: Annotated[int, typer.Option(min=1, help="How many people.")],
    split: Annotated[str, typer.Option(help="Which split of the wardrobe: test or train.")] = "test",
    height: Annotated[int, typer.Option(help="Of the pictures, in pixels.")] = 1024,
    width: Annotated[int, typer.Option(help="Three quarters of the height.")] = 768,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same people and garments.")] = 0,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the JPEGs.")] = 95,
):
    """Writes drawn people and garments as VITON-HD or Dress Code, with every file that those have."""
    import os

    from ladi_mini.wardrobe.render import render as write

    write(folder, layout, count, split, height, width, seed, quality, workers=os.cpu_count() or 1)
    typer.echo(f"Written: {count} people in {folder}.")
    typer.echo(f"Next: `ladi-mini tryon --data {folder} --layout {layout}`, or read it with `ladi_mini.datasets`.")


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="A data set's folder; the machine and the weights if not given.")] = None,
    layout: Annotated[str | None, typer.Option(help="How it is laid out: vitonhd or dresscode.")] = None,
):
    """Checks a whole data set, or this machine and the weights on it. Exit code 2 if something cannot be used."""
    if data is None:
        if layout is not None:
            raise InputError("--layout is given without --data; name the data set's folder.")
        from ladi_mini.machine import describe, weights

        stages, whole = weights()
        for name, value in describe() + stages:
            typer.echo(f"{name:>24}  {value}")
    else:
        from ladi_mini.datasets.doctor import examine

        if layout not in ("vitonhd", "dresscode"):
            raise InputError(f"--layout is {layout!r}, expected vitonhd or dresscode; say how {data} is laid out.")
        report = examine(data, layout)
        typer.echo(report.table())
        whole = report.usable
    if not whole:
        raise typer.Exit(2)


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="What to measure: wardrobe, tryon, or full on a GPU.")],
    out: Annotated[Path | None, typer.Option(help="The card; data/results/bench_WHAT.json if not given.")] = None,
    preset: Annotated[str, typer.Option("--preset", help="tryon: the size of the model, nano or mini.")] = "mini",
    repeats: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    budget: Annotated[str, typer.Option(help="full: after this time no further section begins, such as 450s.")] = "440s",
):
    """Measures speed and writes a card; run it on a quiet machine.

    wardrobe: how fast samples are drawn and read, a core. tryon: a try-on on this processor, part by part. full: a try-on of the
    full model on one GPU, with made-up weights, the plain path and the compiled one.
    """
    path = ROOT / "data" / "results" / f"bench_{what}.json" if out is None else out
    progress = lambda line: typer.echo(f"{line} ...", err=True)  # noqa: E731
    if what == "wardrobe":
        from ladi_mini.bench import bench_wardrobe, table
        from ladi_mini.cards import write_card

        card = bench_wardrobe(repeats, progress=progress)
        write_card(path, card)
        typer.echo(table(card))
    elif what == "tryon":
        from ladi_mini import bench_tryon
        from ladi_mini.cards import write_card
        from ladi_mini.checkpoints import load_pipeline

        card = bench_tryon.bench_tryon(load_pipeline(preset), get_preset(preset), repeats, progress=progress)
        write_card(path, card)
        typer.echo(bench_tryon.table(card))
    elif what == "full":
        import torch

        if not torch.cuda.is_available():
            raise InputError("bench full needs a CUDA GPU, this machine has none that torch sees; run it on one that has.")
        from ladi_mini.bench_full import bench_full

        card = bench_full(repeats=repeats, budget=_seconds(budget), path=path, progress=progress)
        from ladi_mini.evaluation.tables import bench_table

        typer.echo(bench_table(card))
    else:
        raise InputError(f"there is no benchmark {what!r}; choose wardrobe, tryon or full.")
    typer.echo(f"The card is {path}.")


# ---------------------------------------------------------------- helpers


def _pair(data: Path, layout: str | None, pair: int, split: str, order: str, size, convention: str = "ours"):
    from ladi_mini.datasets import DressCode, VitonHD

    layouts = {"vitonhd": VitonHD, "dresscode": DressCode}
    if layout not in layouts:
        raise InputError(f"--layout is {layout!r}, expected vitonhd or dresscode; say how {data} is laid out.")
    dataset = layouts[layout](data, split=split, order=order, height=size.height, width=size.width, convention=convention)
    if pair >= len(dataset):
        raise InputError(
            f"--pair is {pair}, but {data} has {len(dataset)} {order} pairs in {split}; choose 0 to {len(dataset) - 1}."
        )
    return dataset[pair]


def _data_people(data: Path, layout: str | None, size, count: int | None) -> dict:
    from ladi_mini.datasets import DressCode, VitonHD
    from ladi_mini.evaluation.tryon import ORDERS, Listed

    layouts = {"vitonhd": VitonHD, "dresscode": DressCode}
    if layout not in layouts:
        raise InputError(f"--layout is {layout!r}, expected vitonhd or dresscode; say how {data} is laid out.")
    return {order: Listed(layouts[layout](data, order=order, height=size.height, width=size.width), count) for order in ORDERS}


def _write_scores(card: dict, path: Path):
    from ladi_mini.cards import write_card

    write_card(path, card)
    for order in ("unpaired", "paired"):
        for metric in ("psnr_inside_mask", "ssim", "colour_error", "print_read", "fid", "clip_fd"):
            for name, value in card[order].get(metric, {}).items():
                typer.echo(
                    f"{order:>8} {metric:>18} {name:>18}: {value['mean']:7.3f} ({value['low']:.3f} to {value['high']:.3f})"
                )
    for name, why in card["skipped"].items():
        typer.echo(f"{name}: {why}", err=True)
    typer.echo(f"The card is {path}.")


def _write_study(card: dict, path: Path):
    from ladi_mini.cards import write_card
    from ladi_mini.show.study import study_figure

    write_card(path, card)
    figure, beside = path.with_suffix(".webp"), path.with_name(f".{path.stem}.part.webp")
    study_figure(card).savefig(beside, pil_kwargs={"lossless": True, "method": 6})  # lines: a third of the PNG
    beside.replace(figure)
    for row in card["rows"]:
        value = card["difference_to_base"]["psnr_inside_mask"].get(row["name"])
        gain = "the base" if value is None else f"{value['mean']:+.2f} dB ({value['low']:+.2f} to {value['high']:+.2f})"
        typer.echo(f"{row['group']:>12} {row['label']:>28} ({row['how']}): {gain}")
    for name, why in card["skipped"].items():
        typer.echo(f"{name}: {why}", err=True)
    typer.echo(f"The card is {path}, the figure {figure}.")


def _people_of_sheets(people: dict | None, size, count: int, given: dict):
    """Who is shown: the wardrobe's in other garments, where the truth is known; of real data the pairs."""
    from ladi_mini.evaluation.tryon import wardrobe_people

    if people is not None:
        return people["paired"], "paired"
    return wardrobe_people(size, count, "unpaired", given["cache"], given["workers"]), "unpaired"


def _write_sheets(pipe, people, scores: dict, reader, seed: int, path: Path):
    from ladi_mini.evaluation import examples
    from ladi_mini.evaluation.tryon import reasons
    from ladi_mini.show.evaluation import letters_sheet, save_page, try_ons_sheet, worst_sheet

    people, order = people
    found = scores[order]
    first = examples.dress(pipe, people, list(range(min(examples.FIRST, len(people)))), seed)
    pages = {"tryons": try_ons_sheet(first, f"The first {len(first.indices)} {order} test try-ons")}
    worst = examples.worst(found)
    why = reasons(found)
    shown = examples.dress(pipe, people, worst, seed)
    title = f"The {len(worst)} worst of {len(people)} by PSNR inside the mask, and what is worst about each"
    pages["worst"] = worst_sheet(shown, [why[i] for i in worst], title)
    lettered = examples.with_prints(found)
    if lettered:
        shown = examples.dress(pipe, people, lettered, seed)
        prints = examples.read_prints(shown, reader)
        pages["letters"] = letters_sheet(shown, prints, f"The first {len(lettered)} test people with a print")
    stem = path.stem.removesuffix("_tryon").removesuffix("_sheet")
    for name, page in pages.items():
        file = path.with_name(f"{stem}_{name}.webp")
        save_page(page, file)
        typer.echo(f"Written: {file}.")


def _is_drawn(data: Path | None) -> bool:
    """Whether a folder was written by the wardrobe, which leaves its recipe beside the pictures."""
    return data is not None and (data / "wardrobe.json").is_file()


def _run(samples, preset, weights, steps, guidance, seed, out: Path, paste_back: bool = False, released=None, **parts):
    import torch

    from ladi_mini.checkpoints import load_pipeline
    from ladi_mini.sample import collate
    from ladi_mini.show import try_on_sheet

    if released is None:
        pipe = load_pipeline(preset, weights)
    else:
        device, dtype = ("cuda", torch.float16) if torch.cuda.is_available() else ("cpu", torch.float32)
        pipe = load_pipeline(preset, device=device, released=released, weights=weights, dtype=dtype, **parts)
    pipe.set_progress_bar_config(desc="trying on")
    output = pipe(
        collate(samples), num_inference_steps=steps, guidance_scale=guidance, paste_back=paste_back,
        generator=torch.Generator().manual_seed(seed), trace=True,
    )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    alone = out.with_name(f"{out.stem}_result.png")
    for picture, path in ((try_on_sheet(output.trace), out), (output.images[0], alone)):
        beside = path.with_name(f".{path.name}.part")
        picture.save(beside, format="PNG")
        beside.replace(path)
    typer.echo(f"Written: {out} (every step of the way) and {alone} (the result alone).")


def _wardrobe_sheet(seed: int, out: Path):
    from ladi_mini.show import save_sheet, wardrobe_sheet

    if out.suffix not in (".webp", ".jpg", ".png"):  # before a quarter of a minute of drawing
        raise InputError(f"--out is {out}, expected a name that ends in .webp, .jpg or .png; name it so.")
    save_sheet(wardrobe_sheet(seed), out)
    typer.echo(f"Written: {out} (people, flat garments and true warps of the wardrobe).")


def _seconds(text: str | None) -> float | None:

    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        return float(text[:-1]) * units[text[-1]]
    except (ValueError, KeyError, IndexError):
        raise InputError(f"--budget is {text!r}, expected a number and a unit, such as 90s, 8m or 1h.") from None


def main() -> None:
    """Runs the command line; an unusable input ends with exit code 2 and one sentence on the standard error."""

    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    try:
        app()
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()

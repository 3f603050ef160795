"""The exercises of lesson 2: the lookup, pseudo-words in their places, the loss, the descent, attention, what it costs."""

import torch

from ladi_mini.course.answers import Wrong, exercise, expect, expect_close, expect_shape, rule_out


@exercise("inversion_lookup", "1. From ids to vectors")
def inversion_lookup(answer):
    """`answer` is a function of ids (B, L), table (V, D) and positions (P, D), it returns (B, L, D)."""
    generator = torch.Generator().manual_seed(0)
    table, positions = torch.randn(9, 6, generator=generator), torch.randn(7, 6, generator=generator)
    ids = torch.tensor([[8, 2, 2, 5], [8, 5, 1, 0]])
    hint = "One row of the table for each of the 2 x 4 ids."
    got = expect_shape(answer(ids.clone(), table.clone(), positions.clone()), (2, 4, 6), "The result", hint)
    rows = table[ids]
    rule_out(got, rows, "The words have no places.", "Where does the sentence's order come in?")
    rule_out(got, rows + positions[:1], "Every word has the place of the first.", "Place l of the sentence gets row l.")
    rule_out(got, rows + positions[1:5], "Places are counted from 1.", "The start token stands at place 0.")
    rule_out(got, rows * 6**0.5 + positions[:4], "The rows are scaled by the root of their width.",
             "Vaswani et al. do that; CLIP adds the two as they are.")  # fmt: skip
    rule_out(got, rows + positions[ids.clamp(max=6)], "The places are looked up by the ids.",
             "A word's place is where it stands, not which word it is.")  # fmt: skip
    expect_close(got, rows + positions[:4], "The result", "Work out one word: its row plus the row of its place.")


@exercise("inversion_place", "2. Pseudo-words in their places")
def inversion_place(answer):
    """`answer` is a function of embedded (B, L, D), ids (B, L), words (B, n, D) and a placeholder, it returns (B, L, D)."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[7, 5, 2, 2, 4, 2, 8, 0], [7, 8, 0, 0, 0, 0, 0, 0], [7, 2, 5, 2, 2, 8, 0, 0]])
    embedded, words = torch.randn(3, 8, 4, generator=generator), torch.randn(3, 3, 4, generator=generator)
    given = embedded.clone()
    got = expect_shape(answer(given, ids.clone(), words.clone(), 2), (3, 8, 4), "The result", "The same shape as `embedded`.")
    expected, first, others, block, added = (embedded.clone() for _ in range(5))
    for b in range(3):
        places = (ids[b] == 2).nonzero()[:, 0]
        if not len(places):
            continue
        expected[b, places], first[b, places], others[b, places] = words[b], words[b, :1].expand(3, -1), words[0]
        block[b, places[0] : places[0] + 3] = words[b]
        added[b, places] += words[b]
    rule_out(got, embedded, "Nothing was replaced.", "Where is `ids` equal to the placeholder?")
    rule_out(got, first, "Every placeholder has the first word.", "The k-th placeholder of a sentence takes the k-th word.")
    rule_out(got, others, "All sentences have the words of the first.", "Sentence b takes the words of row b.")
    rule_out(got, block, "What stands between the placeholders is overwritten.",
             "Placeholders need not stand side by side: use the mask, not the first place.")  # fmt: skip
    rule_out(got, added, "The words are added to what was there.", "They take the place of the placeholder's own row.")
    changed = (got != expected).any(-1)
    expect(not bool((changed & (ids != 2)).any()), "Places without a placeholder have changed.", "Sentence 2 has none at all.")
    expect_close(got, expected, "The result", "Sentence 1: words 1, 2, 3 go to places 2, 3 and 5.")
    expect(bool(torch.equal(given, embedded)), "The embedding that was given has changed.", "Clone it, or use torch.where.")


@exercise("inversion_loss", "3. The loss that words get")
def inversion_loss(answer):
    """`answer` is a function of (denoiser, latents, noise, timesteps, abar, text), it returns a scalar."""
    generator = torch.Generator().manual_seed(2)
    latents, noise = torch.randn(3, 2, 4, 3, generator=generator), torch.randn(3, 2, 4, 3, generator=generator)
    timesteps, abar = torch.tensor([1, 4, 2]), torch.tensor([0.98, 0.9, 0.7, 0.5, 0.2])
    text = torch.randn(3, 5, 6, generator=generator, requires_grad=True)

    def denoiser(noisy, timesteps, text):
        return 0.5 * noisy + 0.1 * timesteps.view(-1, 1, 1, 1) + text.mean((1, 2)).view(-1, 1, 1, 1)

    def loss(a, target=noise, signal=lambda a: a.sqrt(), spread=lambda a: (1 - a).sqrt()):
        a = a.view(-1, 1, 1, 1)
        return (denoiser(signal(a) * latents + spread(a) * noise, timesteps, text) - target).square().mean().detach()

    value = answer(denoiser, latents.clone(), noise.clone(), timesteps.clone(), abar.clone(), text)
    hint = "One number for the whole batch: the mean over samples, channels and places."
    flat = value.reshape(()) if isinstance(value, torch.Tensor) and value.numel() == 1 else value
    got, a = expect_shape(flat, (), "The loss", hint), abar[timesteps]
    rule_out(got, loss(a, signal=lambda a: a, spread=lambda a: 1 - a), "Signal and noise are mixed without the roots.",
             "Variances add up to 1, so each part is scaled by a root.")  # fmt: skip
    rule_out(got, loss(a, signal=lambda a: (1 - a).sqrt(), spread=lambda a: a.sqrt()), "Signal and noise are swapped.",
             "At an early timestep abar is near 1 and the picture nearly clean.")  # fmt: skip
    rule_out(got, loss(a, target=latents), "The prediction is compared with the picture.", "What does the denoiser predict?")
    rule_out(got, loss(a[:1].expand(3)), "All samples have the noise level of the first.", "abar[timesteps] is (B,): one each.")
    rule_out(got, loss(a) * noise.numel(), "The squares are added up.", "A mean does not depend on the size of the picture.")
    expect_close(got, loss(a), "The loss", "Mix, predict, compare with the noise.")
    expect(value.requires_grad, "No gradient reaches the text.", "No torch.no_grad and no .item(): words learn from it.")


@exercise("inversion_descend", "4. Descent on words alone")
def inversion_descend(answer):
    """`answer` is a function of (loss_of_words, words, steps, lr), it returns the words after so many steps."""
    generator = torch.Generator().manual_seed(3)
    model = torch.nn.Parameter(torch.randn(5, 5, generator=generator))
    goal, start = torch.randn(4, 5, generator=generator), torch.randn(4, 5, generator=generator)
    calls = []

    def loss_of_words(words):
        calls.append(1)
        return (words @ model - goal).square().sum()

    def walk(steps, lr=0.02, keep=0.0):
        words, total = start.clone(), torch.zeros_like(start)
        for _ in range(steps):
            total = keep * total + (2 * (words @ model - goal) @ model.mT).detach()
            words = words - lr * total
        return words

    given = start.clone()
    value = answer(loss_of_words, given, 6, 0.02)
    got = expect_shape(value, (4, 5), "The result", "The words, in the shape in which they came.")
    rule_out(got, start, "The words have not moved.", "Does the step reach the tensor that you return?")
    rule_out(got, walk(6, -0.02), "The loss goes up.", "The gradient points uphill.")
    rule_out(got, walk(1), "Only one step was made.", "The gradient is asked for anew at every step.")
    rule_out(got, walk(6, keep=1.0), "The gradients of all steps are added up.",
             "`.grad` accumulates. torch.autograd.grad gives this step's alone.")  # fmt: skip
    expect_close(got, walk(6), "The result", "words <- words - lr x gradient, `steps` times.", atol=1e-4)
    expect(bool(torch.equal(given, start)), "The words that were given have changed.", "Start from a copy: detach and clone.")
    expect(model.grad is None, "The model has gathered gradients.", "torch.autograd.grad(loss, words) asks for those of words.")
    expect(not value.requires_grad, "The result still hangs on the graph.", "Return words.detach().")
    expect(len(calls) <= 7, "The loss is asked for more often than there are steps.", "One call a step.")


@exercise("inversion_cost", "5. When training pays")
def inversion_cost(answer):
    """`answer` is a function of (train_steps, train_batch, steps, batch), it returns the least number of garments."""
    cases = {(100, 32, 80, 4): 10, (200, 16, 100, 8): 4, (10, 8, 100, 8): 1, (201, 16, 100, 8): 5}
    for case, right in cases.items():
        train, own = case[0] * case[1], case[2] * case[3]
        value = answer(*case)
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Wrong(f"The answer is of type {type(value).__name__}, expected a number.", "How many garments?")
        said, ratio = f"For {case} you say {value:g}.", train / own
        expect(case[0] == case[2] or value != -(-case[0] // case[2]) or value == right, f"{said} The batches are left out.",
               "A step is as many pictures as its batch holds.")  # fmt: skip
        expect(value != own / train or value == right, f"{said} That is the wrong way round.", "Training is paid once.")
        expect(float(value).is_integer(), f"{said} There are no parts of garments.", "Round up.")
        expect(value != int(ratio) or value == right, f"{said} So few cost less one by one.", "Round up, not down.")
        expect(value == right, said, "Training: steps x batch. Each garment: its own steps x batch.")


@exercise("inversion_attention", "6. What share of the attention a word gets")
def inversion_attention(answer):
    """`answer` is a function of queries (heads, places, d), keys (heads, tokens, d), positions (n,), it returns (n, places)."""
    generator = torch.Generator().manual_seed(4)
    queries, keys = torch.randn(2, 6, 8, generator=generator), torch.randn(2, 5, 8, generator=generator)
    positions = torch.tensor([3, 1, 4])
    got = expect_shape(
        answer(queries.clone(), keys.clone(), positions.clone()), (3, 6), "The result", "A map over 6 places for each of 3 words."
    )
    scores = queries @ keys.mT  # (heads, places, tokens)

    def shares(scores, reduce=lambda x: x.mean(0), dim=-1):
        return reduce(scores.softmax(dim))[:, positions].mT

    right = shares(scores / 8**0.5)
    rule_out(got, shares(scores), "The scores are not scaled.", "Divide by the root of the width of a head.")
    rule_out(got, shares(scores / 8), "The scores are divided by the width, not by its root.", "It is 1 / sqrt(d).")
    rule_out(got, shares(scores / 8**0.5, dim=1), "The shares of a word add up to 1 over the places.",
             "Each place shares its attention among the tokens: which axis is that?")  # fmt: skip
    rule_out(got, (scores / 8**0.5)[..., positions].softmax(-1).mean(0).mT, "The words share everything among themselves.",
             "The softmax runs over all tokens, the words are picked afterwards.")  # fmt: skip
    rule_out(got, shares(scores / 8**0.5, lambda x: x.sum(0)), "The heads are added up.", "Mean over heads: shares stay shares.")
    rule_out(got, (scores.mean(0) / 8**0.5).softmax(-1)[:, positions].mT, "The heads are averaged before the softmax.",
             "Each head spends its attention by itself; the mean comes last.")  # fmt: skip
    expect_close(got, right, "The result", "For one head and one place, add the shares of all tokens: do they give 1?")

"""The exercises of lesson 1: the matrix of cosines, the contrastive loss, its gradient and floor, questions to a trained pair."""

import torch
import torch.nn.functional as F

from ladi_mini.course.answers import Wrong, exercise, expect, expect_close, expect_shape, rule_out


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@exercise("clip_cosine", "1. The matrix of cosines")
def clip_cosine(answer):
    """`answer` is a function of pictures (N, D) and sentences (M, D), it returns (N, M)."""
    pictures, sentences = 3 * _draw(3, 5), 0.5 * _draw(4, 5, seed=1)
    got = expect_shape(answer(pictures.clone(), sentences.clone()), (3, 4), "The matrix of 3 pictures and 4 sentences",
                       "A row for each picture, a column for each sentence.").float()  # fmt: skip
    products = pictures @ sentences.T
    rule_out(got, products, "These are dot products.", "A cosine does not change when a vector gets longer.", atol=1e-4)
    one = F.normalize(pictures, dim=1) @ sentences.T, pictures @ F.normalize(sentences, dim=1).T
    for half in one:
        rule_out(got, half, "Only one of the two has been brought to length 1.", "Divide pictures and sentences.", atol=1e-4)
    columns = F.normalize(pictures, dim=0) @ F.normalize(sentences, dim=0).T
    rule_out(got, columns, "You divide by the length of the columns.", "A vector is a row: its length is a sum over dim=1.")
    squares = pictures.square().sum(1, keepdim=True), sentences.square().sum(1, keepdim=True)
    rule_out(
        got, products / squares[0] / squares[1].T, "You divide by squared lengths.", "A length is the root of the sum of squares."
    )
    rule_out(got, F.normalize(products, dim=1), "You bring the rows of the result to length 1.", "Normalise before you multiply.")
    expect_close(got, F.normalize(pictures) @ F.normalize(sentences).T, "The matrix", "Work out one entry by hand.")
    expect_close(answer(pictures.clone(), pictures.clone()).diagonal(), torch.ones(3), "The cosine of a vector with itself")


@exercise("clip_loss", "2. The symmetric cross-entropy")
def clip_loss(answer):
    """`answer` is a function of cosines (N, N) and a scale, it returns one number."""
    cosines, scale = F.normalize(_draw(5, 4)) @ F.normalize(_draw(5, 4, seed=1)).T, 6.0
    got = expect_shape(answer(cosines.clone(), scale), (), "The loss", "One number for the whole batch: take means.").double()
    logits = scale * cosines.double()
    rows, columns = (-logits.log_softmax(dim).diagonal() for dim in (1, 0))
    right = (rows.mean() + columns.mean()) / 2
    rule_out(got, -right, "The sign is wrong.", "Logarithms of shares are negative, and a loss is to be made small.")
    rule_out(got, rows.mean(), "Only the rows are asked.", "Each sentence also has to find its picture.")
    rule_out(got, columns.mean(), "Only the columns are asked.", "Each picture also has to find its sentence.")
    rule_out(got, rows.mean() + columns.mean(), "The loss is twice too large.", "There are 2N questions.")
    rule_out(got, (rows.sum() + columns.sum()) / 2, "You have a sum over the batch.", "Divide by N, so that N does not scale it.")
    plain = cosines.double()
    unscaled = -(plain.log_softmax(1).diagonal().mean() + plain.log_softmax(0).diagonal().mean()) / 2
    rule_out(got, unscaled, "The scale is not used.", "Logits are the scale times the cosines.")
    divided = plain / scale
    divided = -(divided.log_softmax(1).diagonal().mean() + divided.log_softmax(0).diagonal().mean()) / 2
    rule_out(got, divided, "You divide by the scale.", "The scale is one over the temperature.")
    shares = -(logits.softmax(1).diagonal().mean() + logits.softmax(0).diagonal().mean()) / 2
    rule_out(got, shares, "The logarithm is missing.", "A cross-entropy is the mean of -log p.")
    everything = -logits.flatten().log_softmax(0).view(5, 5).diagonal().mean()
    rule_out(got, everything, "One softmax runs over the whole matrix.", "Each row is a question of its own.")
    expect_close(got, right, "The loss", "Check a matrix of equal cosines: the loss is log N.", atol=1e-4)
    large = answer(torch.eye(3), 1000.0)
    expect(
        bool(torch.isfinite(torch.as_tensor(large))), "The loss of a large scale is not finite.", "Use log_softmax or logsumexp."
    )


@exercise("clip_gradient", "3. The gradient by the logits")
def clip_gradient(answer):
    """`answer` is a function of logits (N, N), it returns (N, N)."""
    logits = 2 * _draw(4, 4)
    n = len(logits)
    got = expect_shape(answer(logits.clone()), (n, n), "The gradient", "One number for each logit.").double()
    p, q, eye = logits.double().softmax(1), logits.double().softmax(0), torch.eye(n, dtype=torch.float64)
    right = (p + q - 2 * eye) / (2 * n)
    rule_out(got, -right, "The sign is wrong.", "The derivative is negative where a logit should grow.")
    rule_out(got, right * 2 * n, "The factor 1 / 2N is missing.", "The loss is a mean over 2N questions.")
    rule_out(got, right * 2, "Every value is twice too large.", "Half of the loss asks the rows, half the columns.")
    rule_out(got, right * n, "Every value is N times too large.", "The loss is a mean over N pairs.")
    rule_out(got, (p - eye) / n, "Only the rows are in it.", "A logit stands in a row and in a column.")
    rule_out(got, (q - eye) / n, "Only the columns are in it.", "A logit stands in a row and in a column.")
    rule_out(got, (p + q) / (2 * n), "The right answers are missing.", "What is the derivative of the numerator's logit?")
    rule_out(got, (p + q - eye) / (2 * n), "The diagonal is not low enough.", "Each pair is the right answer of two questions.")
    leaf = logits.clone().double().requires_grad_()
    loss = -(leaf.log_softmax(1).diagonal().mean() + leaf.log_softmax(0).diagonal().mean()) / 2
    (autograd,) = torch.autograd.grad(loss, leaf)
    expect_close(got, autograd, "The gradient", "Compare with autograd on a matrix of 2 x 2.", atol=1e-5)


@exercise("clip_floor", "4. The floor of a batch with duplicates")
def clip_floor(answer):
    """`answer` is a function of labels (N,), it returns one number."""
    labels = torch.tensor([7, 3, 7, 5, 7, 3, 0, 9])
    got = expect_shape(answer(labels.clone()), (), "The floor", "One number for the batch.").double()
    counts = torch.tensor([3, 2, 3, 1, 3, 2, 1, 1], dtype=torch.float64)
    groups = torch.tensor([3, 2, 1, 1, 1], dtype=torch.float64)
    rule_out(
        got, groups.log().mean(), "You average over the groups.", "Each of the pairs of a large group pays, not one of them."
    )
    rule_out(got, counts.mean().log(), "You take the logarithm of the mean.", "First the logarithm for each pair, then the mean.")
    rule_out(got, counts.mean(), "The logarithm is missing.", "A share of 1 / m costs log m.")
    rule_out(got, counts.log().sum(), "You have a sum over the pairs.", "The loss is a mean.")
    rule_out(
        got, torch.tensor(5.0).log(), "You have the logarithm of the number of groups.", "Who can be told apart costs nothing."
    )
    rule_out(got, torch.tensor(8.0).log(), "You have log N, which is chance.", "Pairs of other groups can be told apart.")
    rule_out(got, (counts - 1).clamp(min=1e-9).log().clamp(min=0).mean(), "A pair does not count itself.",
             "The right answer is one of the m equal ones.")  # fmt: skip
    rule_out(got, -counts.log().mean(), "The sign is wrong.", "A loss of shares below 1 is positive.")
    rule_out(got, counts.log2().mean(), "You have the logarithm to base 2.", "The loss uses the natural one.")
    expect_close(got, counts.log().mean(), "The floor", "Count by hand how many say the same as each pair.", atol=1e-5)
    expect_close(
        torch.as_tensor(answer(torch.arange(6))).double(), torch.zeros((), dtype=torch.float64), "Without duplicates the floor"
    )


@exercise("clip_zero_shot", "5. Many sentences, one word")
def clip_zero_shot(answer):
    """`answer` is a function of pictures (B, D) and sentences (W, T, D), all of length 1; it returns (B,) whole numbers."""
    pictures = F.normalize(_draw(40, 6), dim=-1)
    near, far = F.normalize(_draw(3, 1, 6, seed=1), dim=-1), F.normalize(_draw(3, 4, 6, seed=2), dim=-1)
    amounts = torch.tensor([0.2, 1.0, 3.0]).view(3, 1, 1)  # sentences of one word agree, of another they do not
    sentences = F.normalize(near + amounts * far, dim=-1)
    got = answer(pictures.clone(), sentences.clone())
    if isinstance(got, torch.Tensor) and tuple(got.shape) == (3,):
        raise Wrong("There is one answer for each word.", "Each picture takes a word: the maximum runs over the words.")
    if isinstance(got, torch.Tensor) and got.is_floating_point():
        raise Wrong("The answer holds cosines.", "The number of the nearest word is asked for: argmax.")
    got = expect_shape(got, (40,), "The answer for 40 pictures", "One number for each picture.").long()
    cosines = torch.einsum("bd,wtd->bwt", pictures, sentences)
    right = (pictures @ F.normalize(sentences.mean(1), dim=-1).T).argmax(1)
    rule_out(got, cosines.mean(2).argmax(1), "The mean is not brought back to length 1.",
             "A word whose sentences disagree has a short mean, and loses by that alone.")  # fmt: skip
    rule_out(got, cosines.amax(2).argmax(1), "You take the best single sentence.", "Average the sentences of a word first.")
    rule_out(got, cosines[:, :, 0].argmax(1), "Only the first sentence of each word is used.", "Average over the second axis.")
    rule_out(got, cosines.flatten(1).argmax(1), "You number the sentences, not the words.", "Average before you compare.")
    rule_out(got, (pictures @ F.normalize(sentences.mean(1), dim=-1).T).argmin(1), "You take the farthest word.", "argmax.")
    share = float((got == right).double().mean())
    expect(
        share == 1,
        f"Only {share:.0%} of the pictures get their nearest word.",
        "Follow the shapes: (W, T, D), (W, D), (B, W), (B,).",
    )


@exercise("clip_pairs", "6. Four decisions a pair (harder)")
def clip_pairs(answer):
    """`answer` is a function of cosines (K, 2, 2), it returns three shares."""
    cosines = _draw(50, 2, 2) + 0.5 * torch.eye(2) + 0.7 * _draw(50, 1, 2, seed=1)
    got = answer(cosines.clone())
    try:
        got = torch.tensor([float(each) for each in got], dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong("The answer is not three numbers.", "Return (sentences, pictures, all four).") from None
    got = expect_shape(got, (3,), "The answer", "Three shares: sentences, pictures, all four.")
    own = cosines.diagonal(dim1=1, dim2=2)
    sentence, picture = (
        own > torch.stack([cosines[:, 0, 1], cosines[:, 1, 0]], 1),
        own > torch.stack([cosines[:, 1, 0], cosines[:, 0, 1]], 1),
    )
    right = torch.stack([sentence.double().mean(), picture.double().mean(), (sentence & picture).all(1).double().mean()])
    rule_out(
        got, right[[1, 0, 2]], "Sentences and pictures are swapped.", "A picture is a row: its two sentences stand side by side."
    )
    rule_out(got, torch.stack([sentence.all(1).double().mean(), picture.all(1).double().mean(), right[2]]),
             "You count pairs, not decisions.", "Each pair makes two decisions of each kind.")  # fmt: skip
    rule_out(
        got[2:],
        (right[0] * right[1])[None],
        "The third share is a product of the other two.",
        "The four decisions are not independent.",
    )
    rule_out(got[2:], (sentence & picture).double().mean()[None], "The third share counts places of the diagonal.",
             "All four decisions of a pair must be right together.")  # fmt: skip
    totals = (own.sum(1) > cosines.sum((1, 2)) - own.sum(1)).double().mean()
    rule_out(got[2:], totals[None], "The third share compares sums.", "Each of the four must be right by itself.")
    rule_out(
        got[:1],
        sentence[:, 0].double().mean()[None],
        "Only the first picture of each pair is asked.",
        "Picture 1 decides as well.",
    )
    rule_out(got, 1 - right, "These are the shares of wrong decisions.", "What belongs together stands on the diagonal.")
    for what, mine, expected in zip(("right sentences", "right pictures", "pairs with all four right"), got, right, strict=True):
        expect_close(mine, expected, f"The share of {what}", "Take one pair and go through its four comparisons.", atol=1e-6)

"""The exercises of lesson 7: four metrics from their definitions, a colour that grey does not see, and an honest interval."""

import torch

from ladi_mini.course.answers import exercise, expect, expect_close, expect_shape, rule_out

LUMA = 0.299, 0.587, 0.114
C1, C2 = 0.01**2, 0.03**2


def structure(mean_x, mean_y, variance_x, variance_y, covariance, c1=C1, c2=C2):
    """SSIM of windows from their moments, on a scale from 0 to 1."""
    brightness = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return brightness * (2 * covariance + c2) / (variance_x + variance_y + c2)


@exercise("ssim_window", "1. SSIM of a window")
def ssim_window(answer):
    """`answer` is a function of (mean_x, mean_y, variance_x, variance_y, covariance), tensors of one shape; so is its value."""
    mean_x, mean_y = torch.tensor([[0.5, 0.2, 0.9], [0.4, 0.0, 0.6]]), torch.tensor([[0.5, 0.3, 0.4], [0.1, 0.0, 0.6]])
    variance_x, variance_y = (
        torch.tensor([[0.04, 0.01, 0.02], [0.0, 0.0, 0.09]]),
        torch.tensor([[0.04, 0.03, 0.0], [0.0, 0.0, 0.01]]),
    )
    covariance = torch.tensor([[0.04, 0.008, 0.0], [0.0, 0.0, -0.02]])
    moments = mean_x, mean_y, variance_x, variance_y, covariance
    plain = answer(*(m.clone() for m in moments))
    expect(not (isinstance(plain, torch.Tensor) and bool(plain.isnan().any())), "Two black windows give nan: 0 / 0.",
           "c1 and c2 stand in both the numerator and the denominator.")  # fmt: skip
    got = expect_shape(plain, (2, 3), "SSIM", "One value for each window.")
    right = structure(*moments)
    eight_bits = structure(*moments, c1=(0.01 * 255) ** 2, c2=(0.03 * 255) ** 2)
    rule_out(got, eight_bits, "The constants are those of pictures from 0 to 255.", "c1 = (0.01 L)², L the range: here 1.")
    rule_out(got, structure(*moments, c1=0.01, c2=0.03), "The constants are not squared.", "c1 = (0.01 L)², c2 = (0.03 L)².")
    deviations = (variance_x * variance_y).sqrt()
    rule_out(got, structure(mean_x, mean_y, variance_x, variance_y, deviations), "This compares contrast only, not structure.",
             "Where is the covariance? Two windows of equal contrast can still be opposites.")  # fmt: skip
    brightness = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    contrast_structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    rule_out(got, contrast_structure, "The brightness is missing.", "Two factors.")
    correlation = (covariance + C2 / 2) / (deviations + C2 / 2)
    rule_out(got, correlation, "This is structure alone.", "Brightness and contrast count as well.")
    rule_out(got, brightness + contrast_structure, "The two factors are added.", "They are multiplied.")
    expect_close(got, right, "SSIM", "Take a window compared with itself: it must be 1.")
    expect(float(got[1, 2]) < 0, "A window and its negative should have a negative SSIM.")


@exercise("same_grey", "2. Another colour, the same grey")
def same_grey(answer):
    """`answer` is a function of an image (B, 3, H, W) in [0, 1] and an amount d; red grows by d, blue stays, grey stays."""
    image = 0.3 + 0.4 * torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    got = expect_shape(answer(image.clone(), 0.1), tuple(image.shape), "The recoloured picture")
    red, green, blue = (got - image.float()).unbind(1)
    expect(float(red.abs().max()) > 1e-6, "Nothing has changed.", "Red is to grow by d.")
    rule_out(
        green, torch.full_like(green, -0.1), "Green falls as much as red grows.", "Grey weighs green about twice as much as red."
    )
    rule_out(green, torch.full_like(green, -0.1 * LUMA[1] / LUMA[0]), "The weights are the wrong way round.",
             "0.299 d is what red adds to grey. How much less green takes exactly that away?")  # fmt: skip
    rule_out(
        green, torch.zeros_like(green), "Green has not changed.", "Red alone makes grey brighter; green must give that back."
    )
    rule_out(green, torch.full_like(green, 0.1 * LUMA[0] / LUMA[1]), "Green grows too.", "It has to give back what red adds.")
    expect_close(blue, torch.zeros_like(blue), "The change of blue", "Blue is to stay.")
    expect_close(red, torch.full_like(red, 0.1), "The change of red", "Red is to grow by d.")
    weights = torch.tensor(LUMA)
    expect_close(torch.einsum("c,bchw->bhw", weights, got), torch.einsum("c,bchw->bhw", weights, image), "Grey",
                 "0.299 d plus 0.587 times the change of green must be 0.")  # fmt: skip


def perceptual(first, second, weights, unit=True, power=2, mean=True, along=1, eps=1e-8):
    """LPIPS' formula, with one thing changed."""
    total = 0
    for a, b, weight in zip(first, second, weights, strict=True):
        if unit:
            a, b = (x / (x.square().sum(along, keepdim=True) + eps).sqrt() for x in (a, b))
        apart = ((a - b).abs() ** power * weight.view(1, -1, 1, 1)).sum(1)
        total = total + (apart.mean((1, 2)) if mean else apart.sum((1, 2)))
    return total


@exercise("feature_distance", "3. A distance in features")
def feature_distance(answer):
    """`answer` is a function of two lists of features (B, C, h, w) and a list of weights (C,), it returns (B,)."""
    generator = torch.Generator().manual_seed(1)
    shapes = (3, 4, 6, 5), (3, 7, 3, 2)
    first, second = ([torch.randn(*shape, generator=generator) for shape in shapes] for _ in range(2))
    weights = [torch.rand(shape[1], generator=generator) for shape in shapes]
    copies = [[x.clone() for x in part] for part in (first, second, weights)]
    got = expect_shape(answer(*copies), (3,), "The distance", "One number for each picture: mean over places, sum over layers.")
    args = first, second, weights
    rule_out(got, perceptual(*args, unit=False), "The features are not scaled to length 1.",
             "Divide each place by the length of its vector of channels.")  # fmt: skip
    rule_out(got, perceptual(*args, along=(2, 3)), "The features are scaled over the places.",
             "A place has a vector of channels, axis 1; its length is to be 1.")  # fmt: skip
    rule_out(got, perceptual(*args, power=1), "The differences are not squared.", "Square, then weigh.", atol=1e-4)
    rule_out(
        got, perceptual(*args, mean=False), "The places are summed.", "A larger picture would be further from everything: mean."
    )
    rule_out(got, perceptual(first, second, [w**2 for w in weights]), "The weights are squared too.", "Weigh after squaring.")
    rule_out(
        got,
        perceptual(first, second, [torch.ones_like(w) for w in weights]),
        "The weights are not used.",
        "One for each channel.",
    )
    rule_out(got, perceptual(*args) / 2, "The layers are averaged.", "LPIPS sums over the layers.")
    expect_close(got, perceptual(*args), "The distance", "Do it for one layer first.", atol=1e-4)


def distance_of_gaussians(x, y, root="product", square=True, correction=1, spread=True):
    """The squared Fréchet distance of Gaussians fitted to x and y (n, D), with one thing changed."""
    x, y = x.double(), y.double()
    a, b = (torch.cov(z.T, correction=correction) for z in (x, y))
    apart = (x.mean(0) - y.mean(0)).square().sum()
    if not square:
        apart = apart.sqrt()
    if not spread:
        return apart
    if root == "elementwise":
        shared = (a @ b).clamp(min=0).sqrt().trace()
    elif root == "diagonal":
        shared = (a.diagonal() * b.diagonal()).sqrt().sum()
    elif root == "none":
        shared = (a @ b).trace()
    else:
        shared = torch.linalg.eigvals(a @ b).sqrt().real.sum()
    return apart + a.trace() + b.trace() - 2 * shared


@exercise("frechet_distance", "4. The Fréchet distance of two Gaussians")
def frechet_distance(answer):
    """`answer` is a function of two sets of features (n, D), float64, it returns a number."""
    generator = torch.Generator().manual_seed(2)
    mix = torch.tensor([[1.0, 0.7, 0.0], [0.0, 0.6, -0.5], [0.0, 0.0, 1.3]], dtype=torch.float64)
    x = torch.randn(60, 3, generator=generator, dtype=torch.float64) @ mix
    y = torch.randn(60, 3, generator=generator, dtype=torch.float64) @ mix.T * 0.8 + 0.5
    value = answer(x.clone(), y.clone())
    expect(not (isinstance(value, torch.Tensor) and value.is_complex()), "The distance is complex.",
           "The eigenvalues of a product of covariances are real and not negative: take the real part.")  # fmt: skip
    got = expect_shape(float(value) if not isinstance(value, torch.Tensor) else value, (), "The distance", "One number.").double()
    for mistake, message, hint in (
        ({"root": "none"}, "The root of the covariances is missing.", "tr (AB)^(1/2): take roots of the eigenvalues of AB."),
        ({"root": "elementwise"}, "The root was taken entry by entry.", "A matrix root is not the root of its entries."),
        ({"root": "diagonal"}, "Only the variances are compared.", "Covariances between features count: use the whole matrix."),
        ({"square": False}, "The distance of the means is not squared.", "The first term is a square, like the other ones."),
        ({"correction": 0}, "The covariances divide by n.", "The definition of the library divides by n - 1."),
        ({"spread": False}, "Only the means are compared.", "The second term compares the spreads."),
    ):
        rule_out(got, distance_of_gaussians(x, y, **mistake), message, hint, atol=1e-6)
    rule_out(
        got, distance_of_gaussians(x, y).sqrt(), "This is the root of the distance.", "FID is the squared distance.", atol=1e-6
    )
    expect_close(got, distance_of_gaussians(x, y), "The distance", "Try two sets that differ by a shift only.", atol=1e-6)


def cubic(x, y, degree=3, divide=True):
    return (x @ y.T / (x.shape[1] if divide else 1) + 1) ** degree


def discrepancy(x, y, biased=False, cross=2.0, degree=3, divide=True, keep=False):
    """The squared maximum mean discrepancy of x (n, D) and y (m, D), with one thing changed."""
    x, y = x.double(), y.double()
    kxx, kyy, kxy = (cubic(a, b, degree, divide) for a, b in ((x, x), (y, y), (x, y)))
    if biased or keep:
        within = kxx.mean() + kyy.mean()
        if keep:
            within = sum(k.sum() / (len(k) * (len(k) - 1)) for k in (kxx, kyy))
    else:
        within = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kxx, kyy))
    return within - cross * kxy.mean()


@exercise("kernel_distance", "5. The kernel distance, without bias")
def kernel_distance(answer):
    """`answer` is a function of two sets of features (n, D) and (m, D), it returns a number."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    y = 0.7 * torch.randn(20, 4, generator=generator, dtype=torch.float64) + 0.4
    value = answer(x.clone(), y.clone())
    got = expect_shape(float(value) if not isinstance(value, torch.Tensor) else value, (), "The distance", "One number.").double()
    for mistake, message, hint in (
        ({"biased": True}, "Pictures are compared with themselves.", "Leave the diagonals out: n (n - 1) pairs are left."),
        ({"keep": True}, "The diagonals are still in the sums.", "Subtract the trace before you divide by n (n - 1)."),
        ({"divide": False}, "The kernel does not divide by the number of features.", "k(x, y) = (x · y / D + 1)³."),
        ({"degree": 2}, "The kernel is a square.", "KID's kernel is cubic."),
        ({"cross": 1.0}, "The pairs between the sets count once.", "There are two such terms, k(x, y) and k(y, x)."),
        ({"cross": -2.0}, "The pairs between the sets are added.", "The more alike the sets, the smaller the distance."),
    ):
        rule_out(got, discrepancy(x, y, **mistake), message, hint, atol=1e-6)
    rule_out(
        got, 1000 * discrepancy(x, y), "That is KID times 1000.", "Report it so if you say so; here the plain number.", atol=1e-3
    )
    expect_close(got, discrepancy(x, y), "The distance", "Compute the three means one by one.", atol=1e-6)


def quantiles(values, low=0.025, high=0.975):
    return torch.quantile(values, torch.tensor([low, high], dtype=values.dtype))


@exercise("paired_interval", "6. An interval of a difference")
def paired_interval(answer):
    """`answer` is a function of a (n,), b (n,) and picks (R, n), whole numbers below n; it returns (low, high), 95 %."""
    generator = torch.Generator().manual_seed(4)
    people = 3 * torch.randn(30, generator=generator, dtype=torch.float64)
    a = 20 + people + 0.5 * torch.randn(30, generator=generator, dtype=torch.float64)
    b = 19.6 + people + 0.5 * torch.randn(30, generator=generator, dtype=torch.float64)
    picks = torch.randint(30, (800, 30), generator=generator)
    value = answer(a.clone(), b.clone(), picks.clone())
    value = torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in value]) if isinstance(value, tuple | list) else value
    got = expect_shape(value, (2,), "The interval", "Two numbers: low and high.").double()
    means = (a - b)[picks].mean(1)
    right = quantiles(means)
    apart = a[picks].mean(1) - b[picks.roll(1, 0)].mean(1)
    rule_out(
        got, quantiles(apart), "The two methods are drawn apart from each other.", "A person is drawn, with both of their values."
    )
    rule_out(got, quantiles(a - b), "These are quantiles of people, not of means.", "Take the mean of every redrawing first.")
    rule_out(got, right.flip(0), "Low and high are swapped.", "The quantile at 2.5 % comes first.")
    rule_out(got, quantiles(-means), "This is b minus a.", "The difference is a minus b.")
    rule_out(got, quantiles(means, 0.05, 0.95), "That is a 90 % interval.", "95 % leave 2.5 % on each side.")
    rule_out(got, quantiles(a[picks].mean(1)), "That is the interval of a alone.", "Take the difference, person by person.")
    two = quantiles(a[picks].mean(1)) - quantiles(b[picks].mean(1))
    rule_out(got, two, "You subtract two intervals.", "Subtract person by person, then redraw.")
    narrow = torch.stack([means.mean() - means.std(), means.mean() + means.std()])
    rule_out(got, narrow, "That is one deviation to each side.", "It holds about 68 %; ask for quantiles.")
    expect_close(got, right, "The interval", "Differences, redrawings, means, quantiles: in this order.", atol=1e-6)

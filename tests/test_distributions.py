"""Distributions beside PyTorch: log-probabilities, entropies, divergences and gradients; samples by their moments."""

import math
import operator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import gradengine as ge
from gradengine import distributions as D
from gradengine.distributions.pathwise import beta_slope, gamma_slope
from gradengine.distributions.triangular import cholesky, solve_triangular
from gradengine.errors import ArgumentError, DTypeError, GraphError, ShapeError, SignatureError, TraceError

R = np.random.default_rng(0)
L = R.standard_normal((3,))
P = np.abs(R.standard_normal((3,))) + 0.3
Q = np.abs(R.standard_normal((3,))) + 0.3
U = R.uniform(0.1, 0.9, (3,))
LOGITS = R.standard_normal((3, 4))
SIMPLEX = np.abs(R.standard_normal((3, 4))) + 0.1
TRIL = np.tril(R.standard_normal((3, 2, 2))) + 2 * np.eye(2)
COV = TRIL @ np.swapaxes(TRIL, -1, -2)
X = R.standard_normal((5, 3))
POSITIVE = np.abs(X) + 0.1
COUNTS = np.floor(POSITIVE * 3)

# class, parameters that get gradients, values
CASES: list[tuple[str, dict[str, Any], np.ndarray]] = [
    ("Normal", dict(loc=L, scale=P), X),
    ("Laplace", dict(loc=L, scale=P), X),
    ("Cauchy", dict(loc=L, scale=P), X),
    ("Gumbel", dict(loc=L, scale=P), X),
    ("Uniform", dict(low=L, high=L + P), L + P * R.uniform(0, 1, (5, 3))),
    ("Exponential", dict(rate=P), POSITIVE),
    ("HalfNormal", dict(scale=P), POSITIVE),
    ("LogNormal", dict(loc=L, scale=P), POSITIVE),
    ("Gamma", dict(concentration=P, rate=Q), POSITIVE),
    ("Chi2", dict(df=P), POSITIVE),
    ("Beta", dict(concentration1=P, concentration0=Q), R.uniform(0.05, 0.95, (5, 3))),
    ("Dirichlet", dict(concentration=SIMPLEX), R.dirichlet(np.ones(4), (5, 3))),
    ("StudentT", dict(df=P + 2, loc=L, scale=Q), X),
    ("Bernoulli", dict(probs=U), (X > 0).astype(float)),
    ("Bernoulli", dict(logits=L), (X > 0).astype(float)),
    ("Geometric", dict(probs=U), COUNTS),
    ("Geometric", dict(logits=L), COUNTS),
    ("Poisson", dict(rate=P), COUNTS),
    ("Categorical", dict(probs=SIMPLEX), R.integers(0, 4, (5, 3))),
    ("Categorical", dict(logits=LOGITS), R.integers(0, 4, (5, 3))),
    ("OneHotCategorical", dict(logits=LOGITS), np.eye(4)[R.integers(0, 4, (5, 3))]),
    ("Multinomial", dict(total_count=5, probs=SIMPLEX), R.multinomial(5, np.ones(4) / 4, (5, 3)).astype(float)),
    ("MultivariateNormal", dict(loc=X[:3, :2], scale_tril=TRIL), R.standard_normal((5, 3, 2))),
    ("MultivariateNormal", dict(loc=X[:3, :2], covariance_matrix=COV), R.standard_normal((5, 3, 2))),
    ("MultivariateNormal", dict(loc=X[0, :2], precision_matrix=COV), R.standard_normal((5, 3, 2))),
]
every = pytest.mark.parametrize(("name", "options", "value"), CASES, ids=[f"{r[0]}-{i}" for i, r in enumerate(CASES)])


def build(module: Any, tensor: Any, name: str, options: dict[str, Any]) -> tuple[Any, list[Any]]:
    given = {k: tensor(np.array(v)).requires_grad_() if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return getattr(module, name)(**given), [t for t in given.values() if hasattr(t, "grad")]


def results(dist: Any, parameters: list[Any], compute: Any) -> list[np.ndarray]:
    """A result and its gradients by the parameters."""
    for p in parameters:
        p.grad = None
    y = compute(dist)
    out = [np.asarray(y.detach())]
    if y.requires_grad:
        y.sum().backward(retain_graph=True)
        out += [np.asarray(p.grad) if p.grad is not None else np.zeros(tuple(p.shape)) for p in parameters]
    return out


def same(a: list[np.ndarray], b: list[np.ndarray], what: str) -> None:
    assert len(a) == len(b), what
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9, err_msg=what)


@pytest.mark.torch
@every
def test_values_and_gradients_are_pytorchs(
    name: str, options: dict[str, Any], value: np.ndarray, torch: ModuleType
) -> None:
    T = torch.distributions
    ours, p = build(D, ge.tensor, name, options)
    theirs, q = build(T, torch.tensor, name, options)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    same(
        results(ours, p, lambda d: d.log_prob(ge.tensor(value))),
        results(theirs, q, lambda d: d.log_prob(torch.tensor(value))),
        "log_prob",
    )
    for what in ("mean", "variance", "stddev", "mode"):
        if (name, what) not in {("Multinomial", "mode"), ("Geometric", "mode")}:
            a = results(ours, p, operator.attrgetter(what))
            b = results(theirs, q, operator.attrgetter(what))
            count = 1 if what == "mode" or name in ("Cauchy", "Categorical") else len(b)
            same(a[:count], b[:count], what)
    if name not in ("Poisson", "Multinomial"):
        same(results(ours, p, lambda d: d.entropy()), results(theirs, q, lambda d: d.entropy()), "entropy")
    try:
        expected = results(theirs, q, lambda d: d.cdf(torch.tensor(value)))
    except NotImplementedError:
        expected = []
    if expected and name not in ("Gamma", "Chi2"):
        same(results(ours, p, lambda d: d.cdf(ge.tensor(value))), expected, "cdf")
        at = np.clip(np.asarray(ours.cdf(ge.tensor(value)).detach()), 0.01, 0.99)
        same(
            results(ours, p, lambda d: d.icdf(ge.tensor(at))),
            results(theirs, q, lambda d: d.icdf(torch.tensor(at))),
            "icdf",
        )
    if theirs.has_enumerate_support:
        for expand in (True, False):
            same([ours.enumerate_support(expand).numpy()], [theirs.enumerate_support(expand).numpy()], "support")
    batch = (4, *ours.batch_shape)
    wide, wider = ours.expand(batch), theirs.expand(batch)
    assert tuple(wide.batch_shape) == batch
    same(
        [np.asarray(wide.log_prob(ge.tensor(value[:4, None])).detach())],
        [np.asarray(wider.log_prob(torch.tensor(value[:4, None])).detach())],
        "expand",
    )
    assert wide.sample((2,)).shape == tuple(wider.sample((2,)).shape)


@pytest.mark.torch
@every
def test_divergences_are_pytorchs(name: str, options: dict[str, Any], value: np.ndarray, torch: ModuleType) -> None:
    other = {k: v[::-1] * 1.3 if isinstance(v, np.ndarray) and v.ndim == 1 else v for k, v in options.items()}
    if name == "Uniform":
        other = dict(low=L - 1, high=L + P + 1)
    if "probs" in options and options["probs"] is U:
        other = dict(probs=U[::-1].copy())
    pair = [build(D, ge.tensor, name, o) for o in (options, other)]
    other_pair = [build(torch.distributions, torch.tensor, name, o) for o in (options, other)]
    try:
        expected = torch.distributions.kl_divergence(other_pair[0][0], other_pair[1][0])
    except NotImplementedError:
        with pytest.raises(NotImplementedError, match="no formula for"):
            D.kl_divergence(pair[0][0], pair[1][0])
        return
    found = D.kl_divergence(pair[0][0], pair[1][0])
    same([found.detach().numpy()], [expected.detach().numpy()], name)
    found.sum().backward()
    expected.sum().backward()
    zeros = lambda t: np.zeros(tuple(t.shape)) if t.grad is None else np.asarray(t.grad)
    for (_, ours), (_, theirs) in zip(pair, other_pair, strict=True):
        same([zeros(t) for t in ours], [zeros(t) for t in theirs], f"gradient of {name}")


@every
def test_samples_have_the_mean_and_variance(name: str, options: dict[str, Any], value: np.ndarray) -> None:
    ge.manual_seed(7)
    dist, parameters = build(D, ge.tensor, name, options)
    drawn = dist.sample((40_000,))
    assert drawn.shape == (40_000, *dist.batch_shape, *dist.event_shape)
    assert not drawn.requires_grad
    dist.log_prob(drawn)  # all are in the support
    ge.manual_seed(7)
    np.testing.assert_array_equal(dist.sample((40_000,)).numpy(), drawn.numpy())
    if name == "Cauchy":
        spread = np.median(np.abs(drawn.numpy() - L), axis=0)
        np.testing.assert_allclose(spread, P, rtol=0.05)
    elif name == "Categorical":
        counts = np.stack([(drawn.numpy() == i).mean(axis=0) for i in range(4)], axis=-1)
        np.testing.assert_allclose(counts, dist.probs.detach().numpy(), atol=0.012)
    else:
        values, mean = drawn.numpy(), np.asarray(dist.mean.detach())
        variance = np.asarray(dist.variance.detach())
        error = 5 * np.sqrt(variance / 40_000)
        assert (np.abs(values.mean(axis=0) - mean) < error + 1e-9).all()
        if name not in ("LogNormal", "StudentT"):
            np.testing.assert_allclose(values.var(axis=0), variance, rtol=0.12)
    if dist.has_rsample:
        y = dist.rsample((3,))
        y.sum().backward()
        assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in parameters)
    else:
        with pytest.raises(GraphError, match=f"{name} has no rsample"):
            dist.rsample()


GAMMAS = np.array([0.03, 0.2, 0.9, 1.0, 1.5, 4.0, 30.0, 400.0])


def test_gamma_and_beta_samples_move_with_their_parameters_as_their_quantiles_do():
    a, p = np.meshgrid(GAMMAS, [1e-4, 0.05, 0.3, 0.5, 0.7, 0.95, 1 - 1e-4])
    x, h = stats.gamma.ppf(p, a), 1e-4 * a
    want = (stats.gamma.ppf(p, a + h) - stats.gamma.ppf(p, a - h)) / (2 * h)
    far = x > 1e-300
    np.testing.assert_allclose(gamma_slope(a[far], x[far]), want[far], rtol=5e-4)
    a, b, p = np.meshgrid(GAMMAS, GAMMAS, [0.05, 0.3, 0.5, 0.7, 0.95])
    x, h = stats.beta.ppf(p, a, b), 1e-4 * a
    inside = (x > 1e-200) & (x < 1 - 1e-9)
    a, b, x, h = (v[inside] for v in (a, b, x, h))
    slope = -(special.betainc(a + h, b, x) - special.betainc(a - h, b, x)) / (2 * h) / stats.beta.pdf(x, a, b)
    np.testing.assert_allclose(beta_slope(a, b, x), slope, rtol=1e-5)


@pytest.mark.torch
def test_gradients_of_gamma_samples_are_pytorchs(torch):
    shape = np.array([0.3, 2.0, 9.0])

    class Known(torch.autograd.Function):  # PyTorch's own derivative at our samples
        @staticmethod
        def forward(ctx, a, x):
            ctx.save_for_backward(a, x)
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * torch._standard_gamma_grad(*ctx.saved_tensors), None

    a = ge.tensor(shape, requires_grad=True)
    for make, place in ((lambda D, a: D.Gamma(a, 2.0), 0), (lambda D, a: D.Chi2(a), 1)):
        ge.manual_seed(3)
        y = make(D, a).rsample((4,))
        (got,) = ge.grad((y * y).sum(), a)
        t = torch.tensor(shape, requires_grad=True)
        rate, alpha = (2.0, t) if place == 0 else (0.5, 0.5 * t)
        z = Known.apply(alpha.expand(4, 3), torch.tensor(y.detach().numpy() * rate)) / rate
        (want,) = torch.autograd.grad((z * z).sum(), t)
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3)
    y = D.Dirichlet(a).rsample((5,))
    (got,) = ge.grad((y * ge.tensor([1.0, 2.0, 4.0])).sum(), a)
    x, total = torch.tensor(y.detach().numpy()), torch.tensor(shape).sum().expand(5, 3)
    g = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64).expand(5, 3)
    slope = torch._dirichlet_grad(x, torch.tensor(shape).expand(5, 3).contiguous(), total.contiguous())
    want = (slope * (g - (x * g).sum(-1, keepdim=True))).sum(0)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-3)
    with pytest.raises(GraphError, match="once_differentiable"):
        ge.grad(ge.grad(D.Gamma(a, 1.0).rsample().sum(), a, create_graph=True)[0].sum(), a)


def test_pathwise_gradients_have_the_right_mean():
    for make, mean in (
        (lambda a, b: D.Beta(a, b), lambda a, b: a / (a + b)),
        (lambda a, b: D.Gamma(a, b), lambda a, b: a / b),
        (lambda a, b: D.StudentT(a + 8, b, a), lambda a, b: b + 0 * a),
    ):
        a, b = (ge.tensor(v, dtype=ge.float64, requires_grad=True) for v in (1.5, 2.5))
        want = ge.grad(mean(a, b), [a, b])
        ge.manual_seed(0)
        got = ge.grad(make(a, b).rsample((20_000,)).mean(), [a, b])
        np.testing.assert_allclose([g.item() for g in got], [g.item() for g in want], atol=0.02)


@pytest.mark.parametrize(
    ("dist", "exact"),
    [
        (lambda: D.Normal(1.0, 2.0), stats.norm(1, 2)),
        (lambda: D.Laplace(1.0, 2.0), stats.laplace(1, 2)),
        (lambda: D.Cauchy(1.0, 2.0), stats.cauchy(1, 2)),
        (lambda: D.Gumbel(1.0, 2.0), stats.gumbel_r(1, 2)),
        (lambda: D.Uniform(-1.0, 2.0), stats.uniform(-1, 3)),
        (lambda: D.Exponential(2.0), stats.expon(scale=0.5)),
        (lambda: D.HalfNormal(2.0), stats.halfnorm(scale=2)),
        (lambda: D.LogNormal(0.5, 0.7), stats.lognorm(0.7, scale=math.exp(0.5))),
        (lambda: D.Gamma(0.3, 2.0), stats.gamma(0.3, scale=0.5)),
        (lambda: D.Gamma(4.5, 2.0), stats.gamma(4.5, scale=0.5)),
        (lambda: D.Beta(0.5, 2.0), stats.beta(0.5, 2)),
        (lambda: D.StudentT(3.0), stats.t(3)),
    ],
)
def test_samples_follow_the_distribution_function(dist: Any, exact: Any) -> None:
    ge.manual_seed(11)
    assert stats.kstest(dist().sample((20_000,)).numpy().astype(float), exact.cdf).pvalue > 1e-3


# -- what is made of others -----------------------------------------------------------------------------------------


@pytest.mark.torch
def test_transforms_and_transformed_distributions_are_pytorchs(torch: ModuleType) -> None:
    T = torch.distributions
    x = R.standard_normal(6) * 2
    for make in (
        lambda m, t: m.AffineTransform(t(0.5), t(-2.0)),
        lambda m, t: m.ExpTransform() if m is D else T.transforms.ExpTransform(),
        lambda m, t: m.SigmoidTransform(),
        lambda m, t: m.TanhTransform(),
        lambda m, t: m.SoftplusTransform(),
        lambda m, t: m.ComposeTransform([m.AffineTransform(1.0, 0.5), m.TanhTransform(), m.AffineTransform(0.0, 3.0)]),
        lambda m, t: m.ComposeTransform([m.ExpTransform(), m.PowerTransform(t(1.5))]),
        lambda m, t: m.ExpTransform().inv,
    ):
        ours, theirs = make(D, ge.tensor), make(T, torch.tensor)
        given = np.abs(x) + 0.1 if isinstance(ours, type(D.ExpTransform().inv)) else x
        a, b = ge.tensor(given), torch.tensor(given)
        y, z = ours(a), theirs(b)
        same([y.numpy()], [z.numpy()], repr(ours))
        same([ours.inv(y).numpy()], [theirs.inv(z).numpy()], repr(ours))
        same([ours.log_abs_det_jacobian(a, y).numpy()], [theirs.log_abs_det_jacobian(b, z).numpy()], repr(ours))
    for make in (
        lambda m, t: m.TransformedDistribution(m.Normal(t(L), t(P)), [m.AffineTransform(0.5, -2.0), m.TanhTransform()]),
        lambda m, t: m.Independent(m.Normal(t(X), t(POSITIVE)), 1),
        lambda m, t: m.TransformedDistribution(
            m.Independent(m.Normal(t(X), t(POSITIVE)), 1), [m.ExpTransform(), m.AffineTransform(0.0, 2.0, event_dim=1)]
        ),
        lambda m, t: m.MixtureSameFamily(m.Categorical(logits=t(LOGITS)), m.Normal(t(LOGITS), t(np.exp(LOGITS)))),
        lambda m, t: m.MixtureSameFamily(m.Categorical(logits=t(L)), m.Independent(m.Normal(t(LOGITS), t(SIMPLEX)), 1)),
    ):
        ours, theirs = make(D, ge.tensor), make(T, torch.tensor)
        assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
        assert tuple(ours.event_shape) == tuple(theirs.event_shape)
        drawn = ours.sample((4,))
        assert drawn.shape == tuple(theirs.sample((4,)).shape)
        same([ours.log_prob(drawn).numpy()], [theirs.log_prob(torch.tensor(drawn.numpy())).numpy()], repr(ours))
        if not isinstance(ours, D.TransformedDistribution):
            same([ours.mean.numpy(), ours.variance.numpy()], [theirs.mean.numpy(), theirs.variance.numpy()], repr(ours))
    a, b = (m.Independent(m.Normal(t(X), t(POSITIVE)), 1) for m, t in ((D, ge.tensor), (T, torch.tensor)))
    same([a.entropy().numpy()], [b.entropy().numpy()], "entropy")
    same([D.kl_divergence(a, a.expand((5,))).numpy()], [T.kl_divergence(b, b).numpy()], "kl")


# -- Cholesky factors -----------------------------------------------------------------------------------------------


@pytest.mark.torch
def test_cholesky_and_triangular_systems_have_gradients_of_any_order(torch: ModuleType) -> None:
    b = R.standard_normal((3, 2, 4))
    found = []
    for tensor, chol, solve, grad in (
        (ge.tensor, cholesky, solve_triangular, ge.grad),
        (
            torch.tensor,
            torch.linalg.cholesky,
            lambda a, b, upper=False: torch.linalg.solve_triangular(a, b, upper=upper),
            torch.autograd.grad,
        ),
    ):
        a, c = tensor(COV).requires_grad_(), tensor(b).requires_grad_()
        y = chol(a)
        x = solve(y, c)
        z = solve(y.mT, c * 2.0, upper=True)
        loss = (y * y * y).sum() + (x.cos() * z).sum()
        first = grad(loss, [a, c], create_graph=True)
        second = grad((first[0] ** 2).sum() + (first[1].sin()).sum(), [a, c])
        found.append([np.asarray(t.detach()) for t in (y, x, z, *first, *second)])
    same(found[0], found[1], "cholesky")
    with pytest.raises(ArgumentError, match="not positive definite"):
        cholesky(ge.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ShapeError, match="square matrices"):
        cholesky(ge.ones(2, 3))
    with pytest.raises(ShapeError, match="right-hand sides"):
        solve_triangular(ge.eye(2), ge.ones(3, 1))


# -- in compiled steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend_name", ["numpy", "numba"])
def test_a_policy_gradient_and_a_vae_step_compile(backend_name: str) -> None:
    if backend_name == "numba":
        pytest.importorskip("numba")
    ge.set_cpu_backend(backend_name)
    logits = ge.tensor(LOGITS.astype(np.float32))
    actions, rewards = ge.tensor([1, 0, 3]), ge.tensor([1.0, -1.0, 0.5])

    def policy(logits: Any, actions: Any, rewards: Any) -> Any:
        dist = D.Categorical(logits=logits)
        loss = -(dist.log_prob(actions) * rewards).mean() - 0.01 * dist.entropy().mean()
        return loss, ge.grad(loss, logits)[0]

    def vae(mu: Any, log_scale: Any) -> Any:
        q = D.Normal(mu, log_scale.exp())
        z = q.rsample()
        prior = D.Normal(ge.zeros_like(mu), ge.ones_like(mu))
        loss = D.kl_divergence(q, prior).sum() + (z * z).sum()
        return loss, *ge.grad(loss, [mu, log_scale])

    mu, s = (ge.tensor(a.astype(np.float32), requires_grad=True) for a in (X, POSITIVE))
    for function, arguments in ((policy, (logits.requires_grad_(), actions, rewards)), (vae, (mu, s))):
        ge.manual_seed(3)
        expected = [t.detach().numpy() for t in function(*arguments)]
        compiled = ge.jit(function)
        for _ in range(2):
            ge.manual_seed(3)
            for a, b in zip(compiled(*arguments), expected, strict=True):
                np.testing.assert_allclose(a.detach().numpy(), b, rtol=2e-5, atol=1e-6)
    with pytest.raises(TraceError, match="Gamma draws by rejection"):
        ge.jit(lambda a: D.Gamma(a, a).sample())(ge.ones(2))


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), ArgumentError, r"Normal: the parameter scale must satisfy GreaterThan\(0.0\)"),
        (lambda: D.Normal(math.nan, 1.0), ArgumentError, "the parameter loc must satisfy Real"),
        (lambda: D.Normal(0.0, math.nan), ArgumentError, "the parameter scale"),
        (lambda: D.Normal("a", 1.0), DTypeError, "a parameter must be a number or a Tensor, got str 'a'"),
        (lambda: D.Normal(None, 1.0), DTypeError, "a parameter must be"),
        (lambda: D.Normal(mean=0.0, scale=1.0), SignatureError, r"unexpected keyword 'mean' \(did you mean loc\?\)"),
        (lambda: D.Normal(0.0), SignatureError, "missing a required argument: 'scale'"),
        (lambda: D.Normal(ge.ones(2), ge.ones(3)), ShapeError, "Normal"),
        (lambda: D.Normal(0.0, 1.0).log_prob(1.0), DTypeError, "the value must be a Tensor, got float 1.0"),
        (lambda: D.Normal(0.0, 1.0).log_prob(ge.tensor(math.nan)), ArgumentError, "a value must be in the support"),
        (lambda: D.Normal(ge.ones(2), ge.ones(2)).log_prob(ge.ones(3)), ShapeError, "does not broadcast"),
        (lambda: D.Normal(0.0, 1.0).sample(3), DTypeError, "sample_shape must be a tuple of ints"),
        (lambda: D.Normal(0.0, 1.0).sample("a"), DTypeError, "sample_shape must be a tuple"),
        (lambda: D.Normal(0.0, 1.0, validate_args=5), ArgumentError, "validate_args must be True or False"),
        (lambda: D.Uniform(1.0, 0.0), ArgumentError, "low must be below high"),
        (lambda: D.Exponential(0.0), ArgumentError, "the parameter rate"),
        (lambda: D.Exponential(1.0).log_prob(ge.tensor(-1.0)), ArgumentError, "in the support"),
        (lambda: D.Bernoulli(), ArgumentError, "give either probs or logits, got neither"),
        (lambda: D.Bernoulli(0.5, 0.5), ArgumentError, "give either probs or logits, got both"),
        (lambda: D.Bernoulli(1.5), ArgumentError, "the parameter probs must satisfy Interval"),
        (lambda: D.Bernoulli(0.5).log_prob(ge.tensor(0.5)), ArgumentError, "support, Boolean"),
        (lambda: D.Geometric(0.0), ArgumentError, "probs must be above 0"),
        (lambda: D.Poisson(-1.0), ArgumentError, "the parameter rate"),
        (lambda: D.Poisson(1.0).log_prob(ge.tensor(0.5)), ArgumentError, "in the support"),
        (
            lambda: D.Categorical(ge.tensor([-1.0, 2.0])),
            ArgumentError,
            "^Categorical: probs must be finite and not neg",
        ),
        (lambda: D.Multinomial(2, ge.tensor([0.0, 0.0])), ArgumentError, "^Multinomial: probs must not all be 0"),
        (
            lambda: D.OneHotCategorical(ge.tensor([math.nan, 0.0])),
            ArgumentError,
            "^OneHotCategorical: probs must be fi",
        ),
        (lambda: D.Categorical(logits=ge.tensor([math.nan])), ArgumentError, "^Categorical: logits must be numbers"),
        (lambda: D.Categorical(ge.tensor(1.0)), ShapeError, "must have an axis of classes"),
        (lambda: D.Categorical([0.5, 0.5]), DTypeError, "probs must be a Tensor"),
        (lambda: D.Categorical(ge.ones(3)).log_prob(ge.tensor(3)), ArgumentError, "in the support"),
        (lambda: D.OneHotCategorical(ge.ones(3)).log_prob(ge.ones(3)), ArgumentError, "support, OneHot"),
        (lambda: D.Multinomial(-1, ge.ones(3)), ArgumentError, "total_count must be an integer >= 0"),
        (lambda: D.Multinomial(3, ge.ones(2)).log_prob(ge.ones(2)), ArgumentError, "in the support"),
        (lambda: D.Gamma(0.0, 1.0), ArgumentError, "the parameter concentration"),
        (lambda: D.Beta(1.0, 1.0).log_prob(ge.tensor(2.0)), ArgumentError, "in the support"),
        (lambda: D.Dirichlet(ge.tensor(1.0)), ShapeError, "at least one axis"),
        (lambda: D.Dirichlet(ge.tensor([1.0, -1.0])), ArgumentError, "the parameter concentration"),
        (lambda: D.MultivariateNormal(ge.zeros(2)), ArgumentError, "exactly one of .* got none"),
        (
            lambda: D.MultivariateNormal(ge.zeros(2), ge.eye(3)),
            ShapeError,
            "covariance_matrix must be",
        ),
        (lambda: D.MultivariateNormal(ge.zeros(2), -ge.eye(2)), ArgumentError, "must satisfy PositiveDefinite"),
        (lambda: D.MultivariateNormal(ge.zeros(2), scale_tril=ge.ones(2, 2)), ArgumentError, "LowerCholesky"),
        (lambda: D.MultivariateNormal(ge.zeros(2), ge.eye(2)).log_prob(ge.ones(3)), ShapeError, "end with the event"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ShapeError, "there are 0 batch axes"),
        (lambda: D.Independent(5, 1), DTypeError, "base_distribution must be a Distribution"),
        (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), [5]), DTypeError, "needs Transforms"),
        (lambda: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)), DTypeError, "must be a Categorical"),
        (lambda: D.kl_divergence(5, 5), DTypeError, "needs two distributions"),
        (lambda: D.register_kl(5, D.Normal), DTypeError, "needs classes of distributions"),
        (lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0)), NotImplementedError, "add one with register_kl"),
        (lambda: D.Normal(0.0, 1.0).expand("a"), DTypeError, "batch_shape"),
    ],
)
def test_wrong_calls_are_typed(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_numbers_integers_and_dtypes() -> None:
    assert D.Normal(0, 1).sample().dtype == np.float32
    assert D.Normal(ge.tensor(0), ge.tensor(1)).sample((2,)).dtype == np.float32
    assert D.Normal(ge.zeros(2, dtype=ge.float64), 1.0).rsample().dtype == np.float64
    assert D.Categorical(ge.ones(3)).sample().dtype == np.int64
    assert D.Bernoulli(0.5).log_prob(ge.tensor(1)).dtype == np.float32
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0

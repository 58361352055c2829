"""A bandit with Beta posteriors, a Bernoulli likelihood and a variational Beta fitted by the exact ELBO."""

import torch
import torch.nn.functional as F
from torch import distributions as dist


def main():
    torch.manual_seed(0)
    wins, losses = torch.zeros(4), torch.zeros(4)
    rates = torch.tensor([0.2, 0.4, 0.5, 0.7])
    curve = []
    for t in range(40):
        posterior = dist.Beta(wins + 1, losses + 1)
        bound = posterior.mean + 2 * posterior.stddev
        arm = bound.argmax().item()
        reward = float((t * 0.37) % 1.0 < rates[arm])
        wins[arm] += reward
        losses[arm] += 1 - reward
        curve.append(bound[arm].item())
    raw = torch.zeros(2, 4, requires_grad=True)
    opt = torch.optim.NAdam([raw], lr=0.1)
    prior = dist.Beta(torch.ones(4), torch.ones(4))
    for _ in range(10):
        a, b = F.softplus(raw) + 0.1
        q = dist.Beta(a, b)
        e_log = torch.digamma(a) - torch.digamma(a + b)
        e_log1m = torch.digamma(b) - torch.digamma(a + b)
        elbo = (wins * e_log + losses * e_log1m).sum() - dist.kl_divergence(q, prior).sum()
        opt.zero_grad()
        (-elbo).backward()
        opt.step()
        curve.append(elbo.item())
    return curve, [raw, wins, losses, dist.Beta(*(F.softplus(raw) + 0.1)).entropy()]

"""Fitting a Dirichlet and a gamma by maximum likelihood; expectation by EM for a mixture of Gaussians."""

import math

import torch
from torch import nn
from torch.distributions import Categorical, Dirichlet, Gamma, MixtureSameFamily, Normal, kl_divergence


def main():
    torch.set_default_dtype(torch.float64)
    p = torch.softmax(torch.sin(torch.arange(30.0).view(10, 3)), dim=1)
    raw = nn.Parameter(torch.zeros(3))
    opt = torch.optim.Rprop([raw], lr=0.05)
    curve = []
    for _ in range(10):
        opt.zero_grad()
        nll = -Dirichlet(raw.exp()).log_prob(p).mean()
        nll.backward()
        opt.step()
        curve.append(nll.item())
    data = torch.cat([torch.linspace(-3, -1, 12), torch.linspace(1, 4, 12)])
    pi, mu, sigma = torch.ones(2) / 2, torch.tensor([-1.0, 1.0]), torch.ones(2)
    for _ in range(8):
        log = torch.log(pi) + Normal(mu, sigma).log_prob(data[:, None])
        r = torch.softmax(log, dim=-1)
        n = r.sum(0)
        pi, mu = n / len(data), (r * data[:, None]).sum(0) / n
        sigma = ((r * (data[:, None] - mu) ** 2).sum(0) / n).sqrt()
        curve.append(torch.logsumexp(log, -1).sum().item())
    mixture = MixtureSameFamily(Categorical(pi), Normal(mu, sigma))
    kl = kl_divergence(Gamma(torch.tensor(2.0), torch.tensor(1.0)), Gamma(torch.tensor(3.0), torch.tensor(2.0)))
    return curve, [raw.detach(), pi, mu, sigma, mixture.log_prob(data), kl]

"""Weight uncertainty: Gaussian weights, KL from the distributions package, ELBO over several samples."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence


class BayesianLinear(nn.Module):
    def __init__(self, in_features, out_features, noise):
        super().__init__()
        self.noise = noise
        self.weight_mu = nn.Parameter(torch.empty(out_features, in_features).uniform_(-0.2, 0.2))
        self.weight_rho = nn.Parameter(torch.empty(out_features, in_features).uniform_(-5, -4))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.prior = Normal(0.0, 1.0)

    def forward(self, x):
        sigma = torch.log1p(torch.exp(self.weight_rho))
        epsilon = torch.as_tensor(self.noise.standard_normal(size=tuple(sigma.shape)), dtype=sigma.dtype)
        self.kl = kl_divergence(Normal(self.weight_mu, sigma), self.prior).sum()
        return F.linear(x, self.weight_mu + sigma * epsilon, self.bias)


class BayesianNetwork(nn.Module):
    def __init__(self, noise):
        super().__init__()
        self.l1 = BayesianLinear(1, 10, noise)
        self.l2 = BayesianLinear(10, 1, noise)

    def forward(self, x):
        return self.l2(F.softplus(self.l1(x)))

    def sample_elbo(self, input, target, samples=2, num_batches=4):
        outputs = torch.zeros(samples, target.size(0), 1)
        kls = torch.zeros(samples)
        for i in range(samples):
            outputs[i] = self(input)
            kls[i] = self.l1.kl + self.l2.kl
        nll = -Normal(outputs, 0.5).log_prob(target.expand(samples, *target.size())).sum((1, 2))
        return kls.mean() / num_batches + nll.mean()


def main(set_weights):
    rng = np.random.RandomState(0)
    x = torch.from_numpy(rng.rand(20, 1)).float()
    y = x + 0.3 * torch.sin(2 * np.pi * x)
    net = set_weights(BayesianNetwork(np.random.RandomState(1)))
    net.l1.weight_rho.data.sub_(3), net.l2.weight_rho.data.sub_(3.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(10):
        net.zero_grad()
        loss = net.sample_elbo(x, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, list(net.parameters())

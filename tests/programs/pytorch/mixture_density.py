"""A mixture density network: the likelihood of a mixture by logsumexp."""

import math

import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Normal

torch.set_default_dtype(torch.float64)


class MDN(nn.Module):
    def __init__(self, n_hidden, n_gaussians):
        super().__init__()
        self.z_h = nn.Sequential(nn.Linear(1, n_hidden), nn.Tanh())
        self.z_pi = nn.Linear(n_hidden, n_gaussians)
        self.z_sigma = nn.Linear(n_hidden, n_gaussians)
        self.z_mu = nn.Linear(n_hidden, n_gaussians)

    def forward(self, x):
        z_h = self.z_h(x)
        return nn.functional.softmax(self.z_pi(z_h), -1), torch.exp(self.z_sigma(z_h)), self.z_mu(z_h)


def mdn_loss_fn(y, mu, sigma, pi):
    m = Normal(loc=mu, scale=sigma)
    return -torch.logsumexp(m.log_prob(y) + torch.log(pi), dim=1).mean()


def main(set_weights):
    rng = np.random.RandomState(0)
    y_data = rng.uniform(-10, 10, size=(40, 1))
    x_data = 7 * np.sin(0.75 * y_data) + 0.5 * y_data + rng.randn(40, 1)
    x, y = torch.tensor(x_data) / 10, torch.tensor(y_data).expand(40, 1)
    network = set_weights(MDN(n_hidden=10, n_gaussians=4))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        pi, sigma, mu = network(x)
        loss = mdn_loss_fn(y, mu, sigma, pi)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    by_hand = -0.5 * ((y - mu) / sigma) ** 2 - sigma.log() - 0.5 * math.log(2 * math.pi)
    losses.append((by_hand.exp() * pi).sum(dim=-1, keepdim=True).log().mean().item())
    return losses, list(network.parameters())

"""Wasserstein GAN with gradient penalty: a gradient of a gradient's norm."""

import numpy as np
import torch
from torch import autograd, nn, optim


def calc_gradient_penalty(netD, real, fake, alpha):
    interpolates = alpha * real + (1 - alpha) * fake
    interpolates = interpolates.requires_grad_(True)
    disc = netD(interpolates)
    gradients = autograd.grad(
        outputs=disc, inputs=interpolates, grad_outputs=torch.ones(disc.size()),
        create_graph=True, retain_graph=True, only_inputs=True,
    )[0]  # fmt: skip
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * 10


def main(set_weights):
    rng = np.random.RandomState(7)
    one = torch.tensor(1.0)
    netG = set_weights(nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 2)), 1)
    netD = set_weights(nn.Sequential(nn.Linear(2, 12), nn.Softplus(), nn.Linear(12, 1)), 2)
    optD = optim.RMSprop(netD.parameters(), lr=1e-3)
    optG = optim.RMSprop(netG.parameters(), lr=1e-3)
    curve = []
    for _ in range(6):
        for p in netD.parameters():
            p.requires_grad = True
        for _ in range(3):
            real = torch.from_numpy(rng.randn(8, 2)).float() + 3
            netD.zero_grad()
            D_real = netD(real).mean()
            D_real.backward(-1 * one)
            noise = torch.from_numpy(rng.randn(8, 3)).float()
            with torch.no_grad():
                fake = netG(noise)
            D_fake = netD(fake).mean()
            D_fake.backward(one)
            alpha = torch.from_numpy(rng.rand(8, 1)).float().expand_as(real)
            penalty = calc_gradient_penalty(netD, real.data, fake.data, alpha)
            penalty.backward()
            curve.append((D_fake - D_real + penalty).item())
            optD.step()
        for p in netD.parameters():
            p.requires_grad = False
        netG.zero_grad()
        G = netD(netG(torch.from_numpy(rng.randn(8, 3)).float())).mean()
        G.backward(-1 * one)
        optG.step()
    return curve, list(netG.parameters()) + list(netD.parameters())

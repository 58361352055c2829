"""Langevin sampling of an energy model in place, with noise from a fixed table; torch.autograd.grad in a loop."""

import torch
from torch import nn


def langevin(energy, x, noise, step=0.05):
    x = x.clone().detach()
    for eps in noise:
        x.requires_grad_(True)
        grad = torch.autograd.grad(energy(x).sum(), x)[0]
        with torch.no_grad():
            x = x - step * grad + (2 * step) ** 0.5 * 0.1 * eps
            x.clamp_(-3, 3)
    return x.detach()


def main(set_weights):
    net = set_weights(nn.Sequential(nn.Linear(2, 16), nn.Softplus(), nn.Linear(16, 1)))
    energy = lambda x: net(x).squeeze(-1) + 0.5 * x.pow(2).sum(dim=-1)
    data = torch.stack((torch.cos(torch.arange(12.0)), torch.sin(torch.arange(12.0))), -1)
    buffer = torch.zeros(12, 2)
    opt = torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.5, 0.9), amsgrad=True)
    curve = []
    for it in range(6):
        noise = torch.sin(torch.arange(3 * 24.0) * (it + 1)).view(3, 12, 2)
        buffer[:] = langevin(energy, buffer, noise)
        e_pos, e_neg = energy(data), energy(buffer)
        loss = e_pos.mean() - e_neg.mean() + 0.1 * (e_pos**2 + e_neg**2).mean()
        opt.zero_grad(set_to_none=False)
        loss.backward()
        opt.step()
        curve.append(loss.item())
    return curve, [buffer, *(p.data for p in net.parameters())]

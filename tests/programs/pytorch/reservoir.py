"""An echo state network: fixed random weights as buffers, ridge regression readout by gradient, rolled windows."""

import torch
import torch.nn.functional as F
from torch import nn


class Reservoir(nn.Module):
    def __init__(self, size=12, leak=0.3):
        super().__init__()
        w = torch.sin(torch.arange(float(size * size))).reshape(size, size)
        w = w.where(w.abs() > 0.6, torch.zeros(()))
        v = torch.ones(size)
        for _ in range(20):
            v = F.normalize(w @ v, dim=0)
        self.register_buffer("w", 0.9 * w / (w @ v).norm(), persistent=False)
        self.register_buffer("w_in", torch.cos(torch.arange(float(size))).mul_(0.5))
        self.leak = leak

    @torch.no_grad()
    def forward(self, u):
        h, states = self.w.new_zeros(self.w.size(0)), []
        for x in u:
            h = (1 - self.leak) * h + self.leak * torch.tanh(self.w @ h + self.w_in * x)
            states.append(h)
        return torch.stack(states)


def main():
    u = torch.sin(torch.arange(60) * 0.3)
    target = torch.roll(u, shifts=-1, dims=0)
    states = Reservoir()(u)[10:-1]
    states = torch.cat([states, torch.ones(states.shape[0], 1)], dim=1)
    target = target[10:-1].unsqueeze(-1)
    readout = torch.zeros(13, 1, requires_grad=True)
    opt = torch.optim.SGD([readout], lr=0.05, momentum=0.9)
    curve = []
    for _ in range(15):
        opt.zero_grad()
        loss = (states.matmul(readout) - target).pow(2).mean() + 1e-4 * readout.pow(2).sum()
        loss.backward()
        opt.step()
        curve.append(loss.item())
    errors = (states @ readout - target).detach().abs().squeeze()
    worst = torch.topk(errors, k=5, largest=True, sorted=True)
    curve += [torch.quantile(errors, 0.9, interpolation="nearest").item(), errors.median().item()]
    return curve, [readout, worst.values, errors.cumsum(dim=0), errors.view(7, 7).amax(dim=1, keepdim=True)]

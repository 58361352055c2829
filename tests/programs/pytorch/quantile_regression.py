"""Quantile regression with the pinball loss, LBFGS, custom Module with buffers, hooks that count calls."""

import torch
import torch.nn as nn


class Standardize(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("std", torch.ones(n))

    def fit(self, x):
        self.mean.copy_(x.mean(0))
        self.std.copy_(x.std(0, unbiased=False).clamp_min(1e-6))
        return self

    def forward(self, x):
        return (x - self.mean) / self.std


def pinball(pred, target, quantiles):
    diff = target[:, None] - pred
    return torch.max((quantiles - 1) * diff, quantiles * diff).mean()


def main(set_weights):
    x = torch.linspace(0, 6, 40).unsqueeze(1)
    y = torch.sin(x[:, 0]) + 0.1 * x[:, 0] * torch.cos(11 * x[:, 0])
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    model = nn.Sequential(
        Standardize(1).fit(x), set_weights(nn.Linear(1, 8)), nn.Softplus(beta=2), set_weights(nn.Linear(8, 3))
    )
    calls = []
    handle = model[1].register_forward_hook(lambda module, args, out: calls.append(tuple(out.shape)))
    opt = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=6, history_size=4)

    def closure():
        opt.zero_grad()
        loss = pinball(model(x), y, quantiles)
        loss.backward()
        return loss

    curve = [opt.step(closure).item() for _ in range(2)]
    handle.remove()
    with torch.no_grad():
        out = model(x)
        coverage = (y[:, None] <= out).double().mean(dim=0)
    curve += [float(len(calls)), *coverage.tolist()]
    return curve, [out, *model.state_dict().values()]

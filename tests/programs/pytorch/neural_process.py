"""A conditional neural process: context and target sets, aggregated by the mean; nested modules and dicts."""

import torch
import torch.nn as nn
from torch.distributions import Independent, Normal


def mlp(sizes, act=nn.ReLU):
    layers = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(a, b), act(inplace=True)]
    return nn.Sequential(*layers[:-1])


class CNP(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"encoder": mlp([2, 16, 8]), "decoder": mlp([9, 16, 2])})

    def forward(self, cx, cy, tx):
        r = self.parts["encoder"](torch.cat((cx, cy), dim=-1)).mean(dim=-2, keepdim=True)
        r = r.expand(-1, tx.shape[-2], -1)
        mu, raw = self.parts["decoder"](torch.cat([r, tx], -1)).chunk(2, dim=-1)
        return Independent(Normal(mu, 0.1 + 0.9 * nn.functional.softplus(raw)), 2)


def main(set_weights):
    model = set_weights(CNP())
    opt = torch.optim.RAdam(model.parameters(), lr=2e-2)
    phases = torch.arange(5.0).view(5, 1, 1)
    x = torch.linspace(-2, 2, 12).view(1, 12, 1).repeat(5, 1, 1)
    y = torch.sin(2 * x + phases)
    curve = []
    for step in range(10):
        n = 3 + step % 4
        d = model(x[:, :n], y[:, :n], x)
        loss = -d.log_prob(y).mean() / 12
        opt.zero_grad()
        loss.backward()
        opt.step()
        curve.append(loss.item())
    model.eval()
    with torch.no_grad():
        d = model(x[:, ::3], y[:, ::3], x)
    return curve, [d.mean, d.stddev, d.entropy(), *model.parameters()]

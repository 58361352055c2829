"""Deep ensemble with Gaussian likelihoods and adversarial noise; ModuleList, softplus variances."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Member(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 10)
        self.mean, self.scale = nn.Linear(10, 1), nn.Linear(10, 1)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
                nn.init.zeros_(m.bias)

    def forward(self, x):
        h = F.relu(self.body(x), True)
        return self.mean(h), F.softplus(self.scale(h)) + 1e-4


def main(set_weights):
    members = nn.ModuleList([set_weights(Member(), seed) for seed in range(3)])
    x = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 6), torch.linspace(-1, 1, 6), indexing="ij"), -1).view(-1, 2)
    y = (x[:, :1] ** 2 - x[:, 1:]).requires_grad_(False)
    optimizer = torch.optim.SGD(
        [{"params": m.parameters(), "lr": 0.02 * (i + 1)} for i, m in enumerate(members)],
        lr=0.01,
        nesterov=True,
        momentum=0.8,
    )
    curve = []
    for step in range(15):
        inputs = x.clone().requires_grad_(True)
        loss = sum(F.gaussian_nll_loss(*(lambda o: (o[0], y, o[1]))(m(inputs))) for m in members)
        (grad,) = torch.autograd.grad(loss, inputs, retain_graph=True)
        noisy = (inputs + 0.01 * grad.sign()).detach()
        for m in members:
            mean, var = m(noisy)
            loss = loss + F.gaussian_nll_loss(mean, y, var)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    with torch.no_grad():
        means, variances = map(torch.stack, zip(*[m(x) for m in members]))
        mixture = (variances + means.pow(2)).mean(dim=0) - means.mean(dim=0).pow(2)
    return curve, [mixture, means.std(dim=0), *members.parameters()]

"""Training stopped and resumed: state dicts of model, optimizer and scheduler through a buffer in memory."""

import copy
import io

import torch
from torch import nn, optim


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4, bias=i > 0) for i in range(3)])
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.steps += 1
        for layer in self.layers:
            x = x + torch.tanh(layer(x)) * self.scale
        return x.norm(dim=1)


def train(model, opt, sched, steps):
    x = torch.cos(torch.arange(32.0)).view(8, 4)
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = ((model(x) - 1) ** 2).mean()
        loss.backward()
        opt.step()
        sched.step()
        losses.append(loss.item())
    return losses


def make(set_weights):
    model = set_weights(Net())
    opt = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, opt, optim.lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=12)


def main(set_weights):
    model, opt, sched = make(set_weights)
    curve = train(model, opt, sched, 5)
    saved = copy.deepcopy({"model": model.state_dict(), "opt": opt.state_dict(), "sched": sched.state_dict()})
    first = train(model, opt, sched, 5)
    other, opt2, sched2 = make(set_weights)
    other.load_state_dict(saved["model"])
    opt2.load_state_dict(saved["opt"])
    sched2.load_state_dict(saved["sched"])
    second = train(other, opt2, sched2, 5)
    curve += first + second
    same = all(a.equal(b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))
    curve += [float(same), float(other.steps), opt2.param_groups[0]["lr"]]
    return curve, list(other.parameters())

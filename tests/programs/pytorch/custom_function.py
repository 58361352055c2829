"""Functions with a backward of their own: straight-through rounding, a fused cubic, a leaky clamp."""

import numpy as np
import torch
from torch import nn


class RoundSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, levels):
        ctx.levels = levels
        return torch.round(x * levels) / levels

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output, None


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


class ClampSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, low, high):
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        mask = (x >= ctx.low) & (x <= ctx.high)
        return torch.where(mask, grad, 0.01 * grad), None, None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 8)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        h = LegendrePolynomial3.apply(self.layer(x))
        return self.out(ClampSTE.apply(RoundSTE.apply(h, 4), -1.0, 1.0))


def main(set_weights):
    x = torch.linspace(-1, 1, 30).unsqueeze(1)
    y = torch.sin(3 * x)
    a, b, c, d = (torch.full((), v, requires_grad=True) for v in (0.0, -1.0, 0.0, 0.3))
    net = set_weights(Net())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    curve = []
    for _ in range(15):
        y_pred = a + b * LegendrePolynomial3.apply(c + d * x)
        loss = (y_pred - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for p in (a, b, c, d):
                p -= 1e-3 * p.grad
                p.grad = None
        error = nn.functional.l1_loss(net(x), y)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        curve += [loss.item(), error.item()]
    return curve, [a, b, c, d, *net.parameters()]

"""Discrete choices relaxed: straight-through by hand, softmax temperature annealed, custom autograd Function."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, levels):
        ctx.save_for_backward(x)
        return (x * levels).round() / levels

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1).type_as(grad), None


def main(set_weights):
    enc, dec = set_weights(nn.Linear(5, 12)), set_weights(nn.Linear(12, 5))
    code = nn.Parameter(torch.linspace(-1, 1, 12).reshape(4, 3))
    x = torch.sin(torch.arange(40.0)).view(-1, 5)
    noise = torch.cos(torch.arange(8 * 12.0)).view(8, 4, 3) * 0.5
    opt = torch.optim.Adam(
        [{"params": [code], "lr": 0.1}, {"params": list(enc.parameters()) + list(dec.parameters())}], lr=0.01
    )
    curve = []
    for step in range(10):
        tau = max(0.5, 1.0 * 0.9**step)
        logits = enc(x).unflatten(-1, (4, 3))
        soft = F.softmax((logits + noise) / tau, dim=-1)
        hard = F.one_hot(soft.argmax(-1), num_classes=3).to(soft.dtype)
        z = hard + soft - soft.detach()
        latent = (z * code).flatten(1)
        out = Round.apply(torch.tanh(dec(latent)), 8.0)
        loss = F.mse_loss(out, x) + 0.01 * (soft * (soft + 1e-8).log()).sum(-1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        curve.append(loss.item())
    usage = hard.mean(dim=0)
    perplexity = torch.exp(-(usage * torch.log(usage + 1e-10)).sum(-1))
    return curve, [perplexity, code, enc.weight, dec.bias]

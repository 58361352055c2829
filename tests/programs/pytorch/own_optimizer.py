"""An optimizer of one's own (Adam by hand, with state and groups), quantile regression and a schedule by lambda."""

import math

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class MyAdam(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad, state = p.grad.data, self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(p.data)
                    state["exp_avg_sq"] = torch.zeros_like(p.data)
                exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                beta1, beta2 = group["betas"]
                state["step"] += 1
                if group["weight_decay"] != 0:
                    grad = grad.add(p.data, alpha=group["weight_decay"])
                exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
                exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                denom = exp_avg_sq.sqrt().add_(group["eps"])
                correction = math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
                p.data.addcdiv_(exp_avg, denom, value=-group["lr"] * correction)


class QuantileLoss(nn.Module):
    def __init__(self, quantiles):
        super().__init__()
        self.quantiles = quantiles

    def forward(self, preds, target):
        losses = []
        for i, q in enumerate(self.quantiles):
            errors = target - preds[:, i]
            losses.append(torch.max((q - 1) * errors, q * errors).unsqueeze(1))
        return torch.mean(torch.sum(torch.cat(losses, dim=1), dim=1))


def main(set_weights):
    rng, curve = np.random.RandomState(0), []
    x = torch.from_numpy(rng.rand(40, 1)).float()
    y = (x + 0.2 * torch.from_numpy(rng.randn(40, 1)).float()).squeeze()
    model = set_weights(nn.Sequential(nn.Linear(1, 12), nn.Hardtanh(), nn.Linear(12, 3)))
    optimizer = MyAdam([{"params": model[0].parameters(), "lr": 0.01}, {"params": model[2].parameters()}], lr=0.02,
                       weight_decay=1e-3)  # fmt: skip
    scheduler = LambdaLR(optimizer, lr_lambda=lambda epoch: 0.95**epoch)
    criterion = QuantileLoss([0.1, 0.5, 0.9])
    for _ in range(15):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        curve += [loss.item(), optimizer.param_groups[1]["lr"]]
    return curve, list(model.parameters())

"""Classification with mixup, label smoothing, EMA weights and a cosine schedule with warm-up."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Block(nn.Module):
    def __init__(self, dim, p=0.0):
        super().__init__()
        self.norm, self.fc1, self.fc2, self.drop = (
            nn.LayerNorm(dim),
            nn.Linear(dim, 2 * dim),
            nn.Linear(2 * dim, dim),
            nn.Dropout(p),
        )

    def forward(self, x):
        return x + self.drop(self.fc2(F.silu(self.fc1(self.norm(x)))))


def main(set_weights):
    x = torch.sin(torch.arange(60.0)).reshape(20, 3)
    y = (x.sum(dim=1) > 0).long() + (x[:, 0] > 0.5).long()
    model = set_weights(nn.Sequential(nn.Linear(3, 6), Block(6), Block(6), nn.LayerNorm(6), nn.Linear(6, 3)))
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    decay, rest = [], []
    for name, p in model.named_parameters():
        (rest if p.ndim < 2 or name.endswith("bias") else decay).append(p)
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-2)
    sched = LambdaLR(opt, lambda s: min(1.0, (s + 1) / 3) * 0.5 * (1 + math.cos(math.pi * s / 12)))
    curve = []
    for step in range(12):
        lam, perm = 0.7, torch.arange(19, -1, -1)
        mixed = lam * x + (1 - lam) * x[perm]
        out = model(mixed)
        loss = lam * F.cross_entropy(out, y, label_smoothing=0.1) + (1 - lam) * F.cross_entropy(
            out, y[perm], label_smoothing=0.1
        )
        opt.zero_grad()
        loss.backward()
        total_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
        opt.step()
        sched.step()
        ema.update_parameters(model)
        curve += [loss.item(), total_norm.item(), sched.get_last_lr()[0]]
    ema.eval()
    with torch.inference_mode():
        acc = (ema(x).argmax(-1) == y).float().mean()
    curve.append(acc.item())
    return curve, list(ema.module.parameters())

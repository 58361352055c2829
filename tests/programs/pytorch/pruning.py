"""Magnitude pruning with masks, gradient hooks and knowledge of sparsity; gradient accumulation."""

from collections import OrderedDict

import torch
import torch.nn as nn


def main(set_weights):
    model = nn.Sequential(OrderedDict([("fc1", nn.Linear(6, 20)), ("act", nn.Hardswish()), ("fc2", nn.Linear(20, 3))]))
    set_weights(model)
    x = torch.sin(torch.arange(96.0)).view(16, 6)
    y = x[:, :3].argmax(dim=1)
    crit = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), reduction="sum")
    masks, handles, curve = {}, [], []
    for name, p in model.named_parameters():
        if "weight" in name:
            k = int(p.numel() * 0.5)
            threshold = p.detach().abs().flatten().kthvalue(k).values
            masks[name] = (p.detach().abs() > threshold).to(p.dtype)
            p.data.mul_(masks[name])
            handles.append(p.register_hook(lambda g, m=masks[name]: g * m))
    opt = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=5e-3, eps=1e-6)
    for epoch in range(5):
        opt.zero_grad()
        for xb, yb in zip(x.chunk(4), y.chunk(4)):
            loss = crit(model(xb), yb) / 16
            loss.backward()
            curve.append(loss.item())
        opt.step()
    for h in handles:
        h.remove()
    zeros = sum((p == 0).sum().item() for n, p in model.named_parameters() if n in masks)
    total = sum(p.numel() for p in model.parameters())
    curve += [zeros / total, torch.count_nonzero(model.fc1.weight).item()]
    return curve, [torch.cat([p.view(-1) for p in model.parameters()]), *masks.values()]

"""Two tasks weighted by learned uncertainty, deep sets over masked rows, label smoothing and class weights."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class DeepSet(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, 16), nn.SELU(), nn.Linear(16, 8))
        self.norm = nn.LayerNorm(8)
        self.heads = nn.ModuleDict({"cls": nn.Linear(16, 4), "reg": nn.Linear(16, 1)})
        self.log_vars = nn.ParameterList([nn.Parameter(torch.zeros(())) for _ in range(2)])
        self.register_buffer("steps", torch.zeros(1, dtype=torch.long))

    def forward(self, x, mask):
        self.steps += 1
        h = self.norm(self.phi(x)) * mask.unsqueeze(-1)
        mean = h.sum(dim=1) / mask.sum(dim=1, keepdim=True)
        largest, _ = h.masked_fill(~mask.bool().unsqueeze(-1), -1e9).max(dim=1)
        pooled = torch.cat([mean, largest], dim=-1)
        return {name: head(pooled) for name, head in self.heads.items()}


def main(set_weights):
    rng = np.random.RandomState(0)
    x = torch.from_numpy(rng.randn(12, 5, 3)).float()
    lengths = torch.from_numpy(rng.randint(1, 6, 12))
    mask = (torch.arange(5)[None, :] < lengths[:, None]).float()
    labels = torch.from_numpy(rng.randint(0, 4, 12))
    values = torch.from_numpy(rng.randn(12)).float()
    model = set_weights(DeepSet())
    ce = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5, 1.5]), label_smoothing=0.1)
    optimizer = torch.optim.SGD(
        [{"params": model.phi.parameters()}, {"params": model.heads.parameters(), "lr": 0.1},
         {"params": list(model.norm.parameters()) + list(model.log_vars)}],
        lr=0.02, momentum=0.8, dampening=0.1,
    )  # fmt: skip
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[0.05, 0.1, 0.05], total_steps=12)
    curve = []
    for _ in range(12):
        out = model(x, mask)
        tasks = [ce(out["cls"], labels), F.huber_loss(out["reg"].squeeze(1), values, delta=0.7)]
        loss = sum(torch.exp(-s) * task + s for task, s in zip(tasks, model.log_vars))
        optimizer.zero_grad()
        loss.backward()
        total_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        scheduler.step()
        curve += [loss.item(), total_norm.item(), scheduler.get_last_lr()[0]]
    return curve, [*model.parameters(), model.steps]

"""Early stopping, checkpoints in memory, an EMA of the weights, gradient accumulation and a plateau schedule."""

import copy

import numpy as np
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset, random_split


class EMA:
    def __init__(self, model, decay):
        self.model, self.decay, self.shadow, self.backup = model, decay, {}, {}
        for name, param in model.named_parameters():
            if param.requires_grad:
                self.shadow[name] = param.data.clone()

    def update(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                self.shadow[name] = (1.0 - self.decay) * param.data + self.decay * self.shadow[name]

    def apply_shadow(self):
        for name, param in self.model.named_parameters():
            self.backup[name] = param.data
            param.data = self.shadow[name]

    def restore(self):
        for name, param in self.model.named_parameters():
            param.data = self.backup[name]
        self.backup = {}


def main(set_weights):
    rng = np.random.RandomState(0)
    x = torch.tensor(rng.randn(60, 4).astype(np.float32))
    y = torch.tensor(rng.randint(0, 3, 60))
    dataset = TensorDataset(x, y)
    train_set, valid_set = random_split(dataset, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
    train_set.indices, valid_set.indices = list(range(48)), list(range(48, 60))
    model = set_weights(nn.Sequential(nn.Linear(4, 16), nn.ELU(), nn.Linear(16, 3)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    scheduler = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1)
    criterion, ema, curve = nn.CrossEntropyLoss(), EMA(model, 0.9), []
    best_loss, best_state, wait, accumulation_steps = float("inf"), None, 0, 2
    for epoch in range(8):
        model.train()
        optimizer.zero_grad()
        for i, (inputs, labels) in enumerate(DataLoader(train_set, batch_size=12)):
            loss = criterion(model(inputs), labels) / accumulation_steps
            loss.backward()
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()
                ema.update()
        model.eval()
        ema.apply_shadow()
        with torch.inference_mode():
            val_loss = sum(criterion(model(a), b).item() * len(b) for a, b in DataLoader(valid_set, batch_size=5))
        ema.restore()
        scheduler.step(val_loss)
        curve += [val_loss, optimizer.param_groups[0]["lr"]]
        if val_loss < best_loss - 1e-3:
            best_loss, wait = val_loss, 0
            best_state = {
                "epoch": epoch,
                "model": copy.deepcopy(model.state_dict()),
                "optimizer": copy.deepcopy(optimizer.state_dict()),
            }
        else:
            wait += 1
            if wait >= 3:
                break
    model.load_state_dict(best_state["model"])
    optimizer.load_state_dict(best_state["optimizer"])
    return [*curve, best_state["epoch"]], list(model.parameters())

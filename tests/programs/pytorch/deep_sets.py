"""Deep sets: sums of sets of different sizes, padded and masked."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset


class Sets(Dataset):
    def __init__(self):
        self.sets = [torch.sin(torch.arange(n, dtype=torch.float32).unsqueeze(1) * (n + 1)) for n in range(2, 14)]

    def __len__(self):
        return len(self.sets)

    def __getitem__(self, i):
        return self.sets[i], self.sets[i].sum()


def collate(batch):
    xs, ys = zip(*batch)
    lengths = torch.tensor([len(x) for x in xs])
    return pad_sequence(xs, batch_first=True), lengths, torch.stack(ys)


class DeepSet(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(1, dim), nn.Tanh(), nn.Linear(dim, dim))
        self.rho = nn.Sequential(nn.Linear(dim, dim), nn.ELU(1.0, True), nn.Linear(dim, 1))

    def forward(self, x, lengths):
        mask = torch.arange(x.size(1))[None, :] < lengths[:, None]
        h = self.phi(x).masked_fill(~mask.unsqueeze(-1), 0.0)
        return self.rho(h.sum(dim=1)).view(-1)


def main(set_weights):
    model = set_weights(DeepSet())
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.5)
    curve = []
    for epoch in range(8):
        total = 0.0
        for x, lengths, y in DataLoader(Sets(), batch_size=4, collate_fn=collate):
            loss = F.huber_loss(model(x, lengths), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        curve.append(total / 12)
    return curve, [p.detach() for p in model.parameters()]

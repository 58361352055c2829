"""A linear-chain CRF over padded tag sequences: masked partition function and gold scores."""

import torch
import torch.nn as nn


class CRF(nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(tags, tags))
        self.start, self.end = nn.Parameter(torch.empty(tags)), nn.Parameter(torch.empty(tags))
        for p in self.parameters():
            nn.init.constant_(p, 0.1)

    def forward(self, emissions, tags, mask):
        return (self.score(emissions, tags, mask) - self.partition(emissions, mask)).mean()

    def score(self, emissions, tags, mask):
        seq, batch = tags.shape
        score = self.start[tags[0]] + emissions[0, torch.arange(batch), tags[0]]
        for i in range(1, seq):
            step = self.transitions[tags[i - 1], tags[i]] + emissions[i, torch.arange(batch), tags[i]]
            score = score + step * mask[i]
        last = mask.long().sum(dim=0) - 1
        return score + self.end[tags[last, torch.arange(batch)]]

    def partition(self, emissions, mask):
        score = self.start + emissions[0]
        for i in range(1, emissions.size(0)):
            nxt = torch.logsumexp(score.unsqueeze(2) + self.transitions + emissions[i].unsqueeze(1), dim=1)
            score = torch.where(mask[i].unsqueeze(1), nxt, score)
        return torch.logsumexp(score + self.end, dim=1)


def main(set_weights):
    crf, emit = CRF(3), set_weights(nn.Linear(4, 3))
    x = torch.sin(torch.arange(5 * 4 * 4.0)).view(5, 4, 4)
    tags = torch.remainder(torch.arange(20).view(5, 4) * 3 + 1, 7) % 3
    lengths = torch.LongTensor([5, 4, 2, 3])
    mask = torch.arange(5)[:, None].lt(lengths[None])
    opt = torch.optim.Adamax([*crf.parameters(), *emit.parameters()], lr=0.05)
    curve = []
    for _ in range(8):
        loss = -crf(emit(x), tags, mask)
        opt.zero_grad()
        loss.backward()
        opt.step()
        curve.append(loss.item())
    return curve, [*crf.parameters(), *emit.parameters()]

"""Skip-gram with negative sampling, two embeddings and bmm."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class SkipGramModel(nn.Module):
    def __init__(self, emb_size, emb_dimension):
        super().__init__()
        self.u_embeddings = nn.Embedding(emb_size, emb_dimension)
        self.v_embeddings = nn.Embedding(emb_size, emb_dimension)
        initrange = 1.0 / emb_dimension
        self.u_embeddings.weight.data.uniform_(-initrange, initrange)
        self.v_embeddings.weight.data.fill_(0)

    def forward(self, pos_u, pos_v, neg_v):
        emb_u, emb_v = self.u_embeddings(pos_u), self.v_embeddings(pos_v)
        emb_neg_v = self.v_embeddings(neg_v)
        score = torch.sum(torch.mul(emb_u, emb_v), dim=1)
        score = torch.clamp(score, max=10, min=-10)
        score = -F.logsigmoid(score)
        neg_score = torch.bmm(emb_neg_v, emb_u.unsqueeze(2)).squeeze()
        neg_score = torch.clamp(neg_score, max=10, min=-10)
        neg_score = -torch.sum(F.logsigmoid(-neg_score), dim=1)
        return torch.mean(score + neg_score)


def main(set_weights):
    rng = np.random.RandomState(0)
    words = "we are what we repeatedly do excellence then is not an act but a habit".split()
    vocab = {w: i for i, w in enumerate(dict.fromkeys(words))}
    pairs = [
        (vocab[words[i]], vocab[words[j]])
        for i in range(len(words))
        for j in range(max(0, i - 2), min(len(words), i + 3))
        if i != j
    ]
    model = set_weights(SkipGramModel(len(vocab), 6))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        rng.shuffle(pairs)
        for i in range(0, len(pairs) - 8, 8):
            pos_u = torch.LongTensor([p[0] for p in pairs[i : i + 8]])
            pos_v = torch.LongTensor([p[1] for p in pairs[i : i + 8]])
            neg_v = torch.LongTensor(rng.randint(0, len(vocab), (8, 5)))
            optimizer.zero_grad()
            loss = model(pos_u, pos_v, neg_v)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    emb = model.u_embeddings.weight.data
    similarity = F.cosine_similarity(emb[0].unsqueeze(0), emb, dim=1)
    return losses, [emb, similarity]

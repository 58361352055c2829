"""An LSTM cell written out, gates by chunk, over a batch of sequences."""

import math

import numpy as np
import torch
from torch import nn


class CustomLSTM(nn.Module):
    def __init__(self, input_sz, hidden_sz):
        super().__init__()
        self.hidden_size = hidden_sz
        self.W = nn.Parameter(torch.Tensor(input_sz, hidden_sz * 4))
        self.U = nn.Parameter(torch.Tensor(hidden_sz, hidden_sz * 4))
        self.bias = nn.Parameter(torch.Tensor(hidden_sz * 4))
        self.init_weights()

    def init_weights(self):
        stdv = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            weight.data.uniform_(-stdv, stdv)

    def forward(self, x, init_states=None):
        bs, seq_sz, _ = x.size()
        hidden_seq = []
        if init_states is None:
            h_t = torch.zeros(bs, self.hidden_size).to(x.device)
            c_t = torch.zeros(bs, self.hidden_size).to(x.device)
        else:
            h_t, c_t = init_states
        for t in range(seq_sz):
            gates = x[:, t, :] @ self.W + h_t @ self.U + self.bias
            i_t, f_t, g_t, o_t = gates.chunk(4, dim=1)
            c_t = torch.sigmoid(f_t) * c_t + torch.sigmoid(i_t) * torch.tanh(g_t)
            h_t = torch.sigmoid(o_t) * torch.tanh(c_t)
            hidden_seq.append(h_t.unsqueeze(0))
        hidden_seq = torch.cat(hidden_seq, dim=0)
        return hidden_seq.transpose(0, 1).contiguous(), (h_t, c_t)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.lstm, self.out = nn.Embedding(7, 5, padding_idx=0), CustomLSTM(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.lstm(self.emb(x))[0])


def main(set_weights):
    rng, losses = np.random.RandomState(0), []
    model = set_weights(Tagger())
    with torch.no_grad():
        model.lstm.bias[8:16].fill_(1.0)  # the forget gate
        model.emb.weight[0].fill_(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    lengths = [6, 4, 5, 2]
    x = torch.zeros(4, 6).long()
    y = torch.full((4, 6), -100, dtype=torch.long)
    for row, n in enumerate(lengths):
        x[row, :n] = torch.from_numpy(rng.randint(1, 7, n))
        y[row, :n] = x[row, :n] % 3
    for _ in range(15):
        model.zero_grad()
        scores = model(x)
        loss = nn.CrossEntropyLoss(ignore_index=-100)(scores.permute(0, 2, 1), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, list(model.parameters())

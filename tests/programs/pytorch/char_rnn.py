"""A recurrent network from Linear layers, character by character, with the hidden state detached between chunks."""

import numpy as np
import torch
import torch.nn as nn


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        return self.softmax(self.i2o(combined)), hidden

    def init_hidden(self, batch):
        return torch.zeros(batch, self.hidden_size)


def one_hot(idx, n):
    out = torch.zeros(idx.size(0), n)
    out.scatter_(1, idx.unsqueeze(1), 1.0)
    return out


def main(set_weights):
    text = "hello world, hello tensors. " * 4
    vocab = sorted(set(text))
    ids = torch.tensor([vocab.index(c) for c in text])
    rnn = set_weights(RNN(len(vocab), 12, len(vocab)))
    criterion = nn.NLLLoss()
    optimizer = torch.optim.RMSprop(rnn.parameters(), lr=0.01, alpha=0.9, momentum=0.1, centered=True)
    hidden, losses = rnn.init_hidden(1), []
    for start in range(0, len(text) - 11, 10):
        hidden = hidden.detach()
        loss = 0
        for t in range(start, start + 10):
            output, hidden = rnn(one_hot(ids[t : t + 1], len(vocab)), hidden)
            loss += criterion(output, ids[t + 1].unsqueeze(0))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(rnn.parameters(), max_norm=1.0)
        optimizer.step()
        losses.append(loss.item() / 10)
    return losses, list(rnn.parameters())

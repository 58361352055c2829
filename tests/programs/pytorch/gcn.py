"""A graph convolutional network with a normalised adjacency matrix, trained on a mask of nodes."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parameter import Parameter


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.mm(adj, support)
        return output + self.bias if self.bias is not None else output


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass):
        super().__init__()
        self.gc1 = GraphConvolution(nfeat, nhid)
        self.gc2 = GraphConvolution(nhid, nclass)

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, 0.0, training=self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


def main(set_weights):
    rng = np.random.RandomState(0)
    n = 20
    adj = torch.from_numpy((rng.rand(n, n) < 0.2).astype(np.float32))
    adj = torch.max(adj, adj.t()) + torch.eye(n)
    deg = adj.sum(1)
    d_inv_sqrt = deg.pow(-0.5)
    d_inv_sqrt[torch.isinf(d_inv_sqrt)] = 0.0
    adj = torch.diag(d_inv_sqrt) @ adj @ torch.diag(d_inv_sqrt)
    features = torch.from_numpy(rng.rand(n, 6)).float()
    labels = torch.LongTensor(rng.randint(0, 3, n))
    idx_train = torch.LongTensor(range(12))
    idx_val = torch.LongTensor(range(12, 20))
    model = set_weights(GCN(6, 8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    curve = []
    for _ in range(15):
        model.train()
        optimizer.zero_grad()
        output = model(features, adj)
        loss = F.nll_loss(output[idx_train], labels[idx_train])
        loss.backward()
        optimizer.step()
        model.eval()
        output = model(features, adj)
        loss_val = F.nll_loss(output[idx_val], labels[idx_val])
        preds = output[idx_val].max(dim=1)[1].type_as(labels)
        correct = preds.eq(labels[idx_val]).double().sum()
        curve += [loss.item(), loss_val.item(), (correct / len(labels[idx_val])).item()]
    return curve, list(model.parameters())
